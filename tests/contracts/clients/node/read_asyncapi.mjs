// Prints, for each of some documents, what AsyncAPI's own parser has to say about it, and the messages that it read.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const parser = new Parser();
for (const path of process.argv.slice(2)) {
  const { document, diagnostics } = await parser.parse(readFileSync(path, "utf8"));
  console.log(JSON.stringify({
    faults: diagnostics.map(({ code, path, message }) => [code, path.join("."), message]),
    messages: document?.allMessages().all().map((message) => message.id()) ?? [],
  }));
}
