// Renderings compared with Jinja2's own: real chat templates (shared goldens) and small cases for every feature.
#include "text/chat_template/chat_template.h"

#include <gtest/gtest.h>

#include <ctime>
#include <fstream>
#include <map>

#include "base/json.h"
#include "base/mmap_file.h"

namespace hanlin {
namespace {

const std::string kGoldens = HANLIN_SOURCE_DIR "/../shared/cases/jinja";
const std::string kFeatures = HANLIN_SOURCE_DIR "/tests/chat_template/features.jsonl";

std::time_t noon_of_26_july_2024() {
  std::tm time{};
  time.tm_year = 124;
  time.tm_mon = 6;
  time.tm_mday = 26;
  time.tm_hour = 12;
  time.tm_isdst = -1;
  return std::mktime(&time);
}

// Where two texts part, with what stands around it in each.
std::string difference(const std::string& expected, const std::string& got) {
  size_t pos = 0;
  while (pos < expected.size() && pos < got.size() && expected[pos] == got[pos]) ++pos;
  const size_t from = pos < 30 ? 0 : pos - 30;
  return "first difference at byte " + std::to_string(pos) + "\n  expected: …" + dump_json(Json(expected.substr(from, 90))) +
         "\n  got:      …" + dump_json(Json(got.substr(from, 90)));
}

std::vector<Json> read_lines(const std::string& path) {
  std::vector<Json> rows;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) rows.push_back(*parse_json(line));
  return rows;
}

Result<std::string> render(const std::string& source, const Json& context) {
  auto compiled = ChatTemplate::compile(source);
  if (!compiled.ok()) return compiled.error();
  RenderOptions options;
  options.now = noon_of_26_july_2024();
  return compiled->render(context, options);
}

// One row: `expected` to the byte, `raises` to the letter, `python_error` any error that is not a limit.
void check_row(const Json& row, const Result<std::string>& got, const std::string& name) {
  if (row.contains("expected")) {
    const auto expected = row["expected"].get<std::string>();
    if (!got.ok()) {
      ADD_FAILURE() << name << ": expected text, got the error: " << got.error().message;
    } else if (*got != expected) {
      ADD_FAILURE() << name << ": " << difference(expected, *got);
    }
    return;
  }
  if (got.ok()) {
    ADD_FAILURE() << name << ": expected an error (" << row.value("raises", row.value("python_error", "")) << "), got the text "
                  << dump_json(Json(got->substr(0, 200)));
    return;
  }
  EXPECT_NE(got.error().code, Code::kResourceExhausted) << name << ": " << got.error().message;
  EXPECT_FALSE(got.error().message.empty()) << name;
  if (row.contains("raises")) {
    EXPECT_EQ(got.error().message, row["raises"].get<std::string>()) << name;
    EXPECT_EQ(got.error().code, Code::kInvalidArgument) << name;
  }
}

TEST(ChatTemplateGoldens, RealTemplatesRenderAsInPython) {
  if (!read_file(kGoldens + "/goldens.jsonl").ok()) GTEST_SKIP() << "the shared Jinja cases are not there: " << kGoldens;
  std::map<std::string, ChatTemplate> templates;
  std::map<std::string, Json> contexts;
  const std::vector<Json> rows = read_lines(kGoldens + "/goldens.jsonl");
  EXPECT_GE(rows.size(), 578u);
  for (const Json& row : rows) {
    const auto template_name = row["template"].get<std::string>(), context_name = row["context"].get<std::string>();
    if (templates.find(template_name) == templates.end()) {
      const auto compiled = ChatTemplate::compile(*read_file(kGoldens + "/templates/" + template_name));
      ASSERT_TRUE(compiled.ok()) << template_name << ": " << compiled.error().message;
      templates.emplace(template_name, *compiled);
    }
    if (contexts.find(context_name) == contexts.end()) {
      contexts[context_name] = *parse_json(*read_file(kGoldens + "/contexts/" + context_name));
    }
    RenderOptions options;
    options.now = noon_of_26_july_2024();
    check_row(row, templates.at(template_name).render(contexts[context_name], options), template_name + " with " + context_name);
  }
}

TEST(ChatTemplateFeatures, RenderAsInPython) {
  const std::vector<Json> rows = read_lines(kFeatures);
  ASSERT_GE(rows.size(), 300u) << kFeatures;
  const Json& context = rows[0]["context"];  // one for all
  for (size_t i = 1; i < rows.size(); ++i) {
    const auto source = rows[i]["template"].get<std::string>();
    check_row(rows[i], render(source, context), dump_json(Json(source)));
  }
}

}  // namespace
}  // namespace hanlin
