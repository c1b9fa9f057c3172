# jq: one document a line in, `length base64`; its JSON text a line out, or `!` for one that is refused or is not one value.
[split(" ")[1] | try (@base64d | fromjson | tojson) catch "!"] | if length == 1 then .[0] else "!" end
