-- Health of every kind of aegis.dev, from its conditions. `obj` is the object; returned is {status, message}.
-- A generation that was not looked at yet says nothing; what waits for a person is Suspended, not broken.
local status = obj.status
if status == nil or status.conditions == nil or status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "not observed yet" }
end

local conditions = {}
for _, condition in ipairs(status.conditions) do
  conditions[condition.type] = condition
end
local ready, stalled = conditions.Ready, conditions.Stalled
if ready == nil or ready.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "not observed yet" }
end

local message = ready.reason
if ready.message ~= nil and ready.message ~= "" then
  message = ready.reason .. ": " .. ready.message
end

-- Lent authority that ended, or begins later, is as its owner wanted it.
local waits = { WaitingForDecision = true, NotReviewed = true, ReviewVoid = true, NotYet = true, Expired = true, Revoked = true }
if ready.status == "True" then
  return { status = "Healthy", message = message }
elseif waits[ready.reason] then
  return { status = "Suspended", message = message }
elseif stalled ~= nil and stalled.status == "True" then
  return { status = "Degraded", message = message }
elseif ready.status == "Unknown" then
  -- An Agent that is Registered, Suspended or Retired: stopped on purpose.
  return { status = "Suspended", message = message }
end
return { status = "Progressing", message = message }
