#include "app/command.h"

int main(int argc, char** argv) { return hanlin::app::run_cli(hanlin::app::all_commands(), argc, argv); }
