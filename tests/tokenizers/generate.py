#!/usr/bin/env python3
"""Makes the fixtures of this folder with the reference libraries (pip install tokenizers sentencepiece).

splits.jsonl       pieces of the well-known split expressions, from `tokenizers`
tiny-*.json        small tokenizer.json files trained on the lines below; tiny-*.model: SentencePiece
tiny-*.jsonl       texts with their ids and decoded text
Run it in this folder. Seeds are fixed; another version of the libraries may train other vocabularies.
"""
import json
import random

import sentencepiece as spm
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

RANDOM = random.Random(20240501)
CHUNKS = ["Hello", "world", " the", " quick", "I'm", "we'Ve", "don't", "'LL", "'re", "it's", "你好", "世界", "我想在", "龥龦", "한국어",
          "កាន់", "日本語テスト", "👩‍👩‍👧‍👦", "🦙", "é", "e\u0301", "ạ\u0308", "Å", "½", "²", "Ⅳ", "१२३", "12345", "3.14", "1,000", " ", "  ",
          "   ", "\t", "\n", "\r\n", "\n\n", "\u00a0", "\u3000", "\u2028", "\u0085", "\u200b", "{", "}", "();", "def f(x):\n    return x",
          "//", "/", "<tag>", "_", "__init__", "$", "+", "^", "`", "~", "=", "...", "!!!", "?", "。", "，", "—", "'", '"', "ß", "İ",
          "ǅ", "ʰ", "ª", "XMLHttp", "aBC", "Ａｂ", "ΑΒΓς", "Привет", "שלום", "\x00", "\x7f", "\u0300", "𐐀"]


def texts(n):
    return ["".join(RANDOM.choice(CHUNKS) for _ in range(RANDOM.randint(1, 9))) for _ in range(n)]


CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
CL100K = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
O200K = (r"[^\r\n\p{L}\p{N}]?" + UPPER + "*" + LOWER + "+" + CONTRACTIONS + r"?|[^\r\n\p{L}\p{N}]?" + UPPER + "+" + LOWER + "*" +
         CONTRACTIONS + r"?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
EXPRESSIONS = [
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", CL100K, CL100K.replace("{1,3}", ""), O200K,
    O200K.replace(CONTRACTIONS + "?", "").replace("{1,3}", ""),
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+""",
    "[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"\s+$", "[一-\u9fa5\u0800-一\uac00-\ud7ff]+", r"\p{N}", r"\p{N}{1,3}", r"\p{N}+", r"[^\s]+",
    "[0-9][0-9][0-9]", " {2,}", r"[\p{P}\$\+<=>\^\~\|]+"]


def write_lines(name, rows):
    with open(name, "w", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=True) + "\n")


def splits():
    rows = []
    for expression in EXPRESSIONS:
        for behavior in ("isolated", "removed", "merged_with_previous", "merged_with_next", "contiguous"):
            splitter = pre_tokenizers.Split(Regex(expression), behavior)
            for text in texts(24 if behavior == "isolated" else 2):
                pieces = [piece for piece, _ in splitter.pre_tokenize_str(text)]
                rows.append({"regex": expression, "behavior": behavior, "text": text, "pieces": pieces})
    write_lines("splits.jsonl", rows)


def cases(name, tokenizer, n=120):
    tokenizer.no_truncation()
    tokenizer.no_padding()
    rows = []
    for text in texts(n):
        ids = tokenizer.encode(text).ids
        rows.append({"text": text, "ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=True)})
    pair = tokenizer.encode("Hello the", "world 你好")
    rows.append({"text": "Hello the", "second": "world 你好", "ids": pair.ids, "type_ids": pair.type_ids})
    write_lines(name + ".jsonl", rows)


def train(name, tokenizer, trainer, finish):
    tokenizer.train_from_iterator(texts(3000), trainer)
    finish(tokenizer)
    tokenizer.save(name + ".json", pretty=False)
    with open(name + ".json", encoding="utf-8") as file:
        saved = json.load(file)
    # Byte tokens are plain vocabulary in real files; the trainer can only make special tokens of them.
    saved["added_tokens"] = [token for token in saved["added_tokens"] if not token["content"].startswith("<0x")]
    with open(name + ".json", "w", encoding="utf-8") as file:
        json.dump(saved, file, ensure_ascii=False, separators=(",", ":"))
        file.write("\n")
    cases(name, Tokenizer.from_file(name + ".json"))


def byte_level():
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(CL100K), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()

    def finish(t):
        t.add_tokens([AddedToken("<tag>", normalized=False)])
        t.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0))

    train("tiny-byte-level", tokenizer,
          trainers.BpeTrainer(vocab_size=420, special_tokens=["<s>", "</s>"], show_progress=False,
                              initial_alphabet=pre_tokenizers.ByteLevel.alphabet()), finish)


def metaspace_bpe():
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])

    def finish(t):
        t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])

    train("tiny-metaspace", tokenizer,
          trainers.BpeTrainer(vocab_size=520, limit_alphabet=60, max_token_length=8, show_progress=False,
                              special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]), finish)


def wordpiece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()

    def finish(t):
        t.add_special_tokens([AddedToken("[MASK]", lstrip=True)])
        t.add_tokens([AddedToken("<tag>", rstrip=True, normalized=False), AddedToken("hello", single_word=True, normalized=True)])
        t.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
        t.enable_truncation(8)  # to be left aside by readers
        t.enable_padding(length=16)

    train("tiny-wordpiece", tokenizer,
          trainers.WordPieceTrainer(vocab_size=400, limit_alphabet=100, show_progress=False, special_tokens=["[UNK]", "[CLS]", "[SEP]"]), finish)


def sentencepiece_models():
    with open("rules.tsv", "w") as rules:  # code points in hexadecimal: the ligature fi, full-width A, ideographic space
        rules.write("FB01\t66 69\nFF21\t41\n3000\t20\n00A0\t20\n0065 0301\tE9\n")
    lines = [line.replace("\0", "").replace("\n", " ").replace("\r", " ") for line in texts(3000)]
    with open("corpus.txt", "w") as corpus:
        corpus.write("\n".join(lines))
    for name, options in {
            "tiny-unigram": dict(model_type="unigram", normalization_rule_tsv="rules.tsv", byte_fallback=False),
            "tiny-spm-bpe": dict(model_type="bpe", normalization_rule_name="identity", byte_fallback=True, remove_extra_whitespaces=False,
                                 user_defined_symbols=["<tag>", "\u2581\u2581"])}.items():
        spm.SentencePieceTrainer.train(input="corpus.txt", model_prefix=name, vocab_size=600, hard_vocab_limit=False, num_threads=1,
                                       character_coverage=0.98, minloglevel=2, **options)
        processor = spm.SentencePieceProcessor(model_file=name + ".model")
        write_lines(name + ".jsonl", [{"text": text, "ids": processor.encode(text)} for text in texts(150) if "\0" not in text])


if __name__ == "__main__":
    splits()
    byte_level()
    metaspace_bpe()
    wordpiece()
    sentencepiece_models()
