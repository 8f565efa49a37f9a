# Defines `redeem EMAIL CODE`, which sends a redeem request and prints the text of the answer. The tour in README.md
# reads this file with `. deploy/demo.sh`. LEDGER is host and port of the ledger.
redeem() {
    curl -s -H 'Accept-Language: en' -H 'Content-Type: application/json' -d "{\"email\": \"$1\", \"code\": \"$2\"}" \
        "${LEDGER:-localhost:8000}/api/v1/public/redeem" |
        python3 -c 'import json, sys; answer = json.load(sys.stdin); print(answer.get("message") or answer["detail"])'
}
