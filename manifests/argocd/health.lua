-- What Argo CD shows of each kind, and what a sync waits for. Held and stale are Degraded: time alone does not end them.
local function condition(type)
  for _, found in ipairs(obj.status.conditions or {}) do
    if found.type == type then
      return found
    end
  end
  return { status = "Unknown", message = "" }
end

local function health()
  if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
    return "Progressing", "The controller has not seen this version yet."
  end
  local ready = condition("Ready")
  local reconciling = condition("Reconciling")
  if condition("Stalled").status == "True" then
    return "Degraded", ready.message
  end
  if reconciling.reason == "Suspended" or reconciling.reason == "Frozen" then
    return "Suspended", reconciling.message
  end
  local held = condition("RevocationsHeld")
  if held.status == "True" then
    return "Degraded", held.message
  end
  -- A removal that is being confirmed leaves Ready as it was, and a sync has nothing to wait for.
  if ready.status == "True" then
    return "Healthy", ready.message
  end
  if reconciling.status == "True" then
    return "Progressing", reconciling.message
  end
  return "Degraded", ready.message
end

local status, message = health()
return { status = status, message = message }
