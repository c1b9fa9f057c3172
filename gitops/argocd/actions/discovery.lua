-- Actions on an ApprovalRequest: both while nobody has decided.
local open = obj.spec.decision == nil and obj.status ~= nil and obj.status.phase == "Pending"
return { approve = { disabled = not open }, deny = { disabled = not open } }
