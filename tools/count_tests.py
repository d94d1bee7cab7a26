#!/usr/bin/env python3
"""Adds up test results and prints "N passed, N failed[, N skipped]" as the last line; exit status 1 if any failed.

usage: count_tests.py DIR…

Each DIR may hold, as ./test leaves them:
  ctest.xml        CTest's JUnit file: one case per test binary
  gtest/*.xml      one GoogleTest file per binary that ran to its end, named <binary>.xml
  pytest.xml       pytest's JUnit file
  passed-steps     one line per other check that passed
  failed-steps     one line per other step that failed
"""
import pathlib
import sys
import xml.etree.ElementTree as ElementTree


class Tally:
    def __init__(self):
        self.passed = 0
        self.skipped = 0
        self.failed = []

    def add_case(self, name, case, skipped=False):
        if case.find("failure") is not None or case.find("error") is not None:
            self.failed.append(name)
        elif skipped or case.find("skipped") is not None:
            self.skipped += 1
        else:
            self.passed += 1


def add_gtest(tally, binary, root):
    """Returns how many cases of this binary failed."""
    before = len(tally.failed)
    for case in root.iter("testcase"):
        name = f"{binary}: {case.get('classname')}.{case.get('name')}"
        result = case.get("result", "completed")
        tally.add_case(name, case, skipped=result in ("skipped", "suppressed") or case.get("status") == "notrun")
    return len(tally.failed) - before


def add_directory(tally, directory):
    gtest = {path.stem: path for path in sorted(directory.glob("gtest/*.xml"))}
    ctest = directory / "ctest.xml"
    if ctest.exists():
        for test in ElementTree.parse(ctest).getroot().iter("testcase"):
            binary = test.get("name") + "_test"
            bad = test.get("status") == "fail" or test.find("failure") is not None
            if binary in gtest:
                n_failed = add_gtest(tally, binary, ElementTree.parse(gtest.pop(binary)).getroot())
                if bad and n_failed == 0:  # a sanitizer or a crash after the last case
                    tally.failed.append(f"{binary}: exit status")
            elif bad:
                tally.failed.append(f"{binary}: did not run to its end")
            elif test.find("skipped") is not None or test.get("status") in ("notrun", "disabled"):
                tally.skipped += 1
            else:
                tally.passed += 1
    pytest = directory / "pytest.xml"
    if pytest.exists():
        for case in ElementTree.parse(pytest).getroot().iter("testcase"):
            tally.add_case(f"{case.get('classname')}::{case.get('name')}", case)
    for name in ("passed-steps", "failed-steps"):
        path = directory / name
        lines = path.read_text().splitlines() if path.exists() else []
        if name == "passed-steps":
            tally.passed += len(lines)
        else:
            tally.failed += lines


def main(directories):
    tally = Tally()
    for directory in directories:
        add_directory(tally, pathlib.Path(directory))
    for name in tally.failed:
        print(f"FAILED {name}")
    line = f"{tally.passed} passed, {len(tally.failed)} failed"
    if tally.skipped:
        line += f", {tally.skipped} skipped"
    print(line, flush=True)
    return 1 if tally.failed or tally.passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
