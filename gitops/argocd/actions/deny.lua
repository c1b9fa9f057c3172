-- Decides in the name of Argo CD's own account, about the effect that is stored now. Who that was is filled in by the API server.
obj.spec.decision = { verdict = "Denied", effectDigest = obj.spec.action.effectDigest }
return obj
