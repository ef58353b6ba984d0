--- What anyone may ask: health, build, upload limits (§1.2).

local store = require "molecule.emulator.store"

local misc = {}

---The largest upload in bytes, a file and a request.
---@return integer
function misc.upload_maximum()
  return store.config.upload_maximum
end

---@param router table see router.new
function misc.routes(router)
  router:add("GET", "/health", function(request) request:json(200, { status = "ok" }) end)
  router:add("GET", "/buildinfo", function(request) request:json(200, { git_sha = "emulator" }) end)
  router:add("GET", "/uploads/limits", function(request)
    request:json(200, { per_file_bytes = misc.upload_maximum(), per_request_bytes = misc.upload_maximum(),
      max_attachments_per_message = 10 })
  end, { latest = true })
end

return misc
