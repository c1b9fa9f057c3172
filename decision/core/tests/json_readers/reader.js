// Node's JSON.parse: one document a line in, `length base64`; one form a line out (see form.rs), or `!` for one that is
// refused.
"use strict";
const lines = require("node:readline").createInterface({ input: process.stdin, crlfDelay: Infinity });
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const bits = new DataView(new ArrayBuffer(8));
const answers = [];

const hexed = (text) => Buffer.from(text, "utf8").toString("hex");

function form(value) {
  if (value === null) return "n";
  if (value === true) return "t";
  if (value === false) return "f";
  if (typeof value === "number") {
    // Zero has no sign.
    bits.setFloat64(0, value + 0);
    return "#" + bits.getBigUint64(0).toString(16).padStart(16, "0");
  }
  if (typeof value === "string") return `"${hexed(value)}"`;
  if (Array.isArray(value)) return `[${value.map(form).join(",")}]`;
  const members = Object.keys(value).map((name) => [hexed(name), form(value[name])]);
  members.sort(([one], [other]) => (one < other ? -1 : 1));
  return `{${members.map(([name, inner]) => `${name}:${inner}`).join(",")}}`;
}

lines.on("line", (line) => {
  const [length, encoded] = line.split(" ");
  const document = Buffer.from(encoded, "base64");
  if (document.length !== Number(length)) throw new Error("a line was cut");
  let answer = "!";
  try {
    answer = form(JSON.parse(utf8.decode(document)));
  } catch {
    // Refused.
  }
  answers.push(answer);
});
lines.on("close", () => process.stdout.write(answers.map((answer) => `${answer}\n`).join("")));
