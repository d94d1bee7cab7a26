// A tokeniser from BERT's vocab.txt: one token a line, its id is the line.
#include "text/tokenizer_parts.h"
#include "text/wordpiece.h"

namespace hanlin {

Result<TokenizerParts> parse_wordpiece_vocab(std::string_view text, bool lower_case) {
  std::vector<Vocabulary::Token> tokens;
  std::vector<AddedToken> added;
  TokenizerParts parts;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    const auto id = static_cast<int32_t>(tokens.size());
    if (id >= kMaxVocabulary) return Error{Code::kCorrupt, "vocab.txt: expected fewer lines"};
    tokens.push_back({std::string(line), TokenKind::kNormal});
    for (const auto& [name, slot] : {std::pair<std::string_view, std::optional<int32_t>*>{"[PAD]", &parts.pad},
                                     {"[UNK]", &parts.unk}, {"[CLS]", &parts.cls}, {"[SEP]", &parts.sep}, {"[MASK]", &parts.mask}}) {
      if (line != name) continue;
      *slot = id;
      tokens.back().kind = TokenKind::kControl;
      AddedToken token;
      token.id = id;
      token.content = line;
      token.special = true;
      added.push_back(std::move(token));
    }
  }
  if (!parts.cls || !parts.sep || !parts.unk) return Error{Code::kCorrupt, "vocab.txt: expected the tokens [CLS], [SEP] and [UNK]"};
  auto vocabulary = std::make_shared<Vocabulary>(Vocabulary::build(tokens));
  std::vector<std::string> bytes;
  for (const auto& token : tokens) bytes.push_back(token_bytes_of(token.text, token.kind, Spelling::kWordPiece));
  vocabulary->set_bytes(bytes);
  parts.vocabulary = vocabulary;
  HANLIN_ASSIGN(parts.added, AddedTokens::build(std::move(added)));
  parts.normalizer.add(BertStep{true, true, lower_case, lower_case});
  HANLIN_TRY(parts.pre_tokenizer.add_regex(R"(\s+)", SplitBehavior::kRemoved));
  HANLIN_TRY(parts.pre_tokenizer.add_regex(R"([\p{P}\$\+<=>\^`\|~])"));
  WordPieceOptions options;
  options.unk_id = *parts.unk;
  parts.model = make_wordpiece(*vocabulary, options);
  parts.single = {{*parts.cls, 0}, {}, {*parts.sep, 0}};
  parts.pair = {{*parts.cls, 0}, {}, {*parts.sep, 0}, {TemplatePiece::kSecondText, 1}, {*parts.sep, 1}};
  parts.strip_first_space = parts.space_before_control = true;
  return parts;
}

}  // namespace hanlin
