#!/bin/bash
# The recorded runs of docs/results.md: all.sh DATA MODELS OUT [NAME ...]
#
# DATA holds banking77, sms-spam, wnut17, covid-qa, docs-rag and tinyshakespeare as published, MODELS all-minilm-l6-v2 and
# stories260K, OUT takes the results. Without names all runs are made, in about two hours on two cores. FINETUNE,
# EVALUATE and PERPLEXITY name the built examples `finetune`, `evaluate_retrieval` and `perplexity`; PYTHON one with
# scikit-learn and sentence-transformers, for the rivals.
set -euo pipefail
data=$1 models=$2 out=$3
shift 3
finetune=${FINETUNE:-target/release/examples/finetune}
evaluate=${EVALUATE:-target/release/examples/evaluate_retrieval}
perplexity=${PERPLEXITY:-target/release/examples/perplexity}
python=${PYTHON:-python3}
here=$(dirname "$0")
encoder=$models/all-minilm-l6-v2
mkdir -p "$out"

# run NAME OPTIONS...: one run, its JSON in OUT/NAME.json
run() {
    local name=$1
    shift
    echo "$name: $*" >&2
    "$finetune" "$@" --seed 42 --json --out "$out/$name" >"$out/$name.json"
}

banking77() {
    local b=$data/banking77 set
    set=(--model "$encoder" --task classify --data "$b/train.csv" --test "$b/test.csv" --clean --no-valid --schedule cosine --warmup 0.1)
    "$python" "$here/logistic.py" "$encoder" "$b/train.csv" "$b/test.csv" "$out/logistic.jsonl"
    run banking77-head "${set[@]}" --method head --lr 3e-2 --epochs 40 --batch 64 --predictions "$out/head.jsonl"
    run banking77-last2 "${set[@]}" --method last:2 --lr 3e-4 --epochs 8 --batch 16 --predictions "$out/last2.jsonl"
    run banking77-lora "${set[@]}" --method lora --targets all-linear --rank 16 --lr 1e-3 --epochs 10 --batch 16 --predictions "$out/lora.jsonl"
    run banking77-full "${set[@]}" --method full --lr 1e-4 --epochs 6 --batch 16 --predictions "$out/full.jsonl"
    for name in head last2 lora full; do
        echo "$name against the logistic regression:"
        "$python" "$here/compare.py" accuracy "$out/$name.jsonl" "$out/logistic.jsonl"
    done
}

sms() {
    "$python" "$here/prepare.py" sms "$data/sms-spam/SMSSpamCollection" "$out/sms"
    local first=() second=()
    for fold in 1 2 3 4 5; do
        local f=$out/sms
        run "sms-$fold" --model "$encoder" --task classify --data "$f/train-$fold.csv" --test "$f/test-$fold.csv" \
            --method lora --targets all-linear --lr 1e-3 --epochs 3 --batch 16 --no-valid --predictions "$f/lora-$fold.jsonl"
        "$python" "$here/logistic.py" "$encoder" "$f/train-$fold.csv" "$f/test-$fold.csv" "$f/logistic-$fold.jsonl"
        first+=("$f/lora-$fold.jsonl") second+=("$f/logistic-$fold.jsonl")
        "$python" "$here/compare.py" f1:spam "$f/lora-$fold.jsonl" "$f/logistic-$fold.jsonl"
    done
    echo "all folds:"
    "$python" "$here/compare.py" f1:spam "$(IFS=,; echo "${first[*]}")" "$(IFS=,; echo "${second[*]}")"
}

# Behind `sms`, whose files it takes.
spam_search() {
    local f=$out/sms
    run spam-search --model "$encoder" --task classify --data "$f/train-1.csv" --test "$f/test-1.csv" \
        --method lora --targets all-linear --epochs 1 --batch 16 --max-tokens 64 \
        --search 9 --search-halving --search-space "lr=1e-4..1e-2 rank=4,8,16"
}

wnut17() {
    local w=$data/wnut17
    run wnut17 --model "$encoder" --task tag --data "$w/wnut17train.conll" --valid "$w/emerging.dev.conll" \
        --test "$w/emerging.test.annotated" --method full --lr 2e-4 --head-lr 2e-3 --epochs 10 --batch 16
}

covid_qa() {
    "$python" "$here/prepare.py" covid "$data/covid-qa/200423_covidQA.json" "$out/covid"
    for fold in 1 2 3 4 5; do
        local f=$out/covid
        run "covid-$fold" --model "$encoder" --task qa --data "$f/train-$fold.json" --test "$f/test-$fold.json" --no-valid \
            --method full --lr 1e-4 --head-lr 1e-3 --epochs 2 --batch 4 --empty-windows 1 --predictions "$f/full-$fold.jsonl"
    done
}

shakespeare() {
    local text=$data/tinyshakespeare/input.txt set
    # The last tenth of the lines is held out.
    local lines
    lines=$(($(wc -l <"$text") * 9 / 10))
    head -n "$lines" "$text" >"$out/shakespeare-train.txt"
    tail -n "+$((lines + 1))" "$text" >"$out/shakespeare-held-out.txt"
    set=(--model "$models/stories260K" --task pretrain --data "$out/shakespeare-train.txt" --no-valid --batch 8 --schedule cosine)
    run shakespeare-full "${set[@]}" --method full --lr 2e-3 --epochs 5
    run shakespeare-lora "${set[@]}" --method lora --targets all-linear --rank 8 --lr 5e-3 --epochs 5
    "$perplexity" --model "$models/stories260K" --json --text "$out/shakespeare-held-out.txt" >"$out/shakespeare-before.json"
    "$perplexity" --model "$out/shakespeare-full/model" --json --text "$out/shakespeare-held-out.txt" >"$out/shakespeare-after-full.json"
    "$perplexity" --model "$models/stories260K" --adapter "$out/shakespeare-lora/adapter" --json \
        --text "$out/shakespeare-held-out.txt" >"$out/shakespeare-after-lora.json"
}

docs_rag() {
    "$python" "$here/prepare.py" pairs "$data/docs-rag" "$out/docs"
    run docs-rag --model "$encoder" --task embed --data "$out/docs/pairs.jsonl" --method full --lr 2e-5 --epochs 1 \
        --batch 32 --hard-negatives 2 --no-valid
    "$evaluate" "$data/docs-rag" --embedder "$encoder" --save-runs "$out/docs-rag-before"
    "$evaluate" "$data/docs-rag" --embedder "$out/docs-rag/model" --against "$out/docs-rag-before/dense.run"
}

for name in "${@:-banking77 sms spam_search wnut17 covid_qa shakespeare docs_rag}"; do
    for one in $name; do
        "$one"
    done
done
