--- Raises an error at the line of the script that called into the API, however deep inside it the mistake shows.

---@param text string what is wrong
return function(text)
  local level = 2
  while true do
    local frame = debug.getinfo(level, "Sl")
    if not frame then error(text, 0) end
    if frame.currentline > 0 and not frame.source:find("^@molecule/") then error(text, level) end
    level = level + 1
  end
end
