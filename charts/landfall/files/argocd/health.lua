-- How an object of catalog.landfall.dev is. Its status follows kstatus (kubernetes-sigs/cli-utils, pkg/kstatus): observedGeneration,
-- the condition Ready, and Reconciling or Stalled, which exist only while they are True. One script for all kinds.
local health = {status = "Progressing", message = "Waiting for the controller"}

local status = obj.status
if status == nil or status.conditions == nil then
  return health
end

local conditions = {}
for _, condition in ipairs(status.conditions) do
  conditions[condition.type] = condition
end
local function is_true(kind)
  return conditions[kind] ~= nil and conditions[kind].status == "True"
end

-- Before the first look it is -1; the message is that of the definition's default then.
if obj.metadata.generation ~= nil and status.observedGeneration ~= obj.metadata.generation then
  if status.observedGeneration ~= nil and status.observedGeneration > 0 then
    health.message = "Waiting for the controller to see the latest change"
  end
  return health
end

if conditions.Ready ~= nil then
  health.message = conditions.Ready.message
end
local template = obj.spec ~= nil and obj.spec.template or nil
if is_true("Stalled") then
  -- Nothing more will happen until a person changes something; Ready says what.
  health.status = "Degraded"
elseif type(template) == "table" and template.suspend == true then
  health.status = "Suspended"
elseif is_true("Ready") then
  health.status = "Healthy"
end
return health
