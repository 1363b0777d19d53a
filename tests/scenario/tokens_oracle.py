"""What the `tokenizers` library says: makes tokenizers of many kinds below a folder, adds real ones, and writes for each how
many tokens texts are.  Run by tokens_test.py, with the interpreter that has the wheels.

usage: tokens_oracle.py FOLDER CORPUS REAL..."""

import base64
import json
import os
import random
import sys

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

SPECIAL = ("Grüße aus München! 你好，世界。日本語のテキスト です。 Привет, как дела? مرحبا بالعالم हिन्दी में पाठ 한국어 텍스트 😀👩‍👩‍👧‍👦 ﬁ Å Å é é "
           "I've don't WE'LL 12345 1,234.56 x²+y² …— “quotes” \t tabs\n\n\nnew  lines   \r\n end   <s> </s> <|endoftext|> "
           "<|im_start|>user\n <bos><unused7>\n\n\n ▁▁ ﷽ ࿌ 🇩🇪 ① Ⅷ ǅ ß ｆｕｌｌ　ｗｉｄｔｈ ไทย ខ្មែរ [LEFT] [RIGHT]  word WORD words [MASK]s")


def texts(corpus):
    """Pieces of the corpus and of other scripts, and letters at random: enough to reach what a sentence does not."""
    chance = random.Random(5)
    out = [corpus[:20000], SPECIAL, " ", "  ", "\n", "a", " a", "a ", "The quick", " The quick", "\u0301", "▁", "é" * 200, "ab" * 300]
    letters = list(SPECIAL) + [chr(i) for i in range(32, 127)] + list("\u0301\u00a0\u3000\u200b\u200d\ufeff\u00ad\u0345")
    for _ in range(300):
        source = chance.choice([corpus, SPECIAL, SPECIAL])
        at = chance.randrange(len(source))
        out.append(source[at:at + chance.randrange(1, 90)])
        out.append("".join(chance.choice(letters) for _ in range(chance.randrange(1, 40))))
    return [text for text in out if text]


def charsmap(folder, corpus):
    """The map of characters that SentencePiece puts into its models (nmt_nfkc), out of the model's protocol buffer."""
    with open(os.path.join(folder, "corpus.txt"), "w", encoding="utf-8") as out:
        out.write(corpus)
    sentencepiece.SentencePieceTrainer.train(input=os.path.join(folder, "corpus.txt"), model_prefix=os.path.join(folder, "sp"),
                                             vocab_size=400, model_type="unigram", minloglevel=2)
    with open(os.path.join(folder, "sp.model"), "rb") as model:
        return base64.b64encode(field(field(model.read(), 3), 2)).decode()


def field(message, wanted):
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = varint()
        if key & 7 == 2:
            size = varint()
            if key >> 3 == wanted:
                return message[at:at + size]
            at += size
        elif key & 7 == 0:
            varint()
        else:
            at += 4 if key & 7 == 5 else 8
    raise AssertionError(f"no field {wanted}")


def sequence(*parts):
    return normalizers.Sequence(list(parts))


def cuts(*parts):
    return pre_tokenizers.Sequence(list(parts))


ALPHABET = pre_tokenizers.ByteLevel.alphabet()
KINDS = {
    "gpt2": (models.BPE(), None, pre_tokenizers.ByteLevel(add_prefix_space=False), {"initial_alphabet": ALPHABET}),
    "gpt2-space": (models.BPE(), normalizers.NFKC(), pre_tokenizers.ByteLevel(add_prefix_space=True), {"initial_alphabet": ALPHABET}),
    "clip": (models.BPE(unk_token="<unk>", end_of_word_suffix="</w>", fuse_unk=True),
             sequence(normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase(), normalizers.Replace(Regex(r"\s+"), " ")),
             cuts(pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Whitespace()), {"end_of_word_suffix": "</w>"}),
    "continued": (models.BPE(unk_token="<unk>", continuing_subword_prefix="##"), normalizers.Strip(), pre_tokenizers.Whitespace(),
                  {"continuing_subword_prefix": "##"}),
    "whole": (models.BPE(unk_token="<unk>"), normalizers.NFC(), cuts(pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("merged_with_previous"),
              pre_tokenizers.Digits()), {}),
    "nothing-unknown": (models.BPE(), None, pre_tokenizers.CharDelimiterSplit(" "), {}),
    "splits": (models.BPE(), normalizers.NFKD(), cuts(
        pre_tokenizers.Split(Regex(r"[\p{L}]+"), "isolated"), pre_tokenizers.Split(Regex(r"\d"), "contiguous"),
        pre_tokenizers.Split(" ", "merged_with_next"), pre_tokenizers.Split(Regex(r"e+"), "merged_with_previous"),
        pre_tokenizers.Split(Regex(r"[^.]+"), "removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)),
        {"initial_alphabet": ALPHABET}),
    "prefixed": (models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True), sequence(normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")),
                 None, {"max_token_length": 12}),
    "unigram": (models.Unigram(), normalizers.NFKC(), pre_tokenizers.Metaspace(), {"unk_token": "<unk>"}),
    "unigram-first": (models.Unigram(), None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False), {"unk_token": "<unk>"}),
    "unigram-never": (models.Unigram(), None, cuts(pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="never")),
                      {"unk_token": "<unk>"}),
}


def train(kind, corpus):
    model, normalizer, cutter, options = KINDS[kind]
    tokenizer = Tokenizer(model)
    if normalizer:
        tokenizer.normalizer = normalizer
    if cutter:
        tokenizer.pre_tokenizer = cutter
    trainer = (trainers.UnigramTrainer if kind.startswith("unigram") else trainers.BpeTrainer)
    special = ["<unk>"] + ([f"<0x{i:02X}>" for i in range(256)] if kind == "prefixed" else [])
    lines = corpus.splitlines() + SPECIAL.split(" ") * 3
    tokenizer.train_from_iterator(lines, trainer(vocab_size=700, show_progress=False, special_tokens=special, **options))
    tokenizer.add_tokens([AddedToken("[LEFT]", lstrip=True, normalized=False), AddedToken("[RIGHT]", rstrip=True, normalized=False),
                          AddedToken("word", single_word=True), AddedToken("Grüße", normalized=True)])
    tokenizer.add_special_tokens(["<|endoftext|>", "[MASK]"])
    return json.loads(tokenizer.to_str())


def variants(folder, corpus):
    for kind in KINDS:
        made = train(kind, corpus)
        if kind == "whole":
            made["model"]["ignore_merges"] = True
        if kind == "unigram-never":
            made["normalizer"] = {"type": "Precompiled", "precompiled_charsmap": charsmap(folder, corpus)}
        if kind == "unigram-first":  # bytes where a character is unknown
            made["model"]["vocab"] += [[f"<0x{i:02X}>", -20.0] for i in range(256)]
            made["model"]["byte_fallback"] = True
        if kind == "gpt2":  # merges as they were written before
            made["model"]["merges"] = [" ".join(pair) for pair in made["model"]["merges"]]
        yield kind, json.dumps(made)


def main():
    folder, corpus_file, *real = sys.argv[1:]
    with open(corpus_file, encoding="utf-8") as text:
        corpus = text.read()
    all_texts = texts(corpus)
    with open(os.path.join(folder, "texts.json"), "w", encoding="utf-8") as out:
        json.dump(all_texts, out)
    counts = {}
    paths = [(os.path.join(folder, kind + ".json"), text) for kind, text in variants(folder, corpus)]
    for path, text in paths:
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
    for path in [path for path, _ in paths] + real:
        tokenizer = Tokenizer.from_file(path)
        counts[path] = [len(tokenizer.encode(text, add_special_tokens=False).ids) for text in all_texts]
    with open(os.path.join(folder, "counts.json"), "w", encoding="utf-8") as out:
        json.dump(counts, out)


main()
