--- The same tests against both versions of the platform, where what they test depends on it.

---@param describe function busted's
---@param name string
---@param body fun(profile: "t1"|"latest")
return function(describe, name, body)
  for _, profile in ipairs { "t1", "latest" } do
    describe(("%s (%s)"):format(name, profile), function() body(profile) end)
  end
end
