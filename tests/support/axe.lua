--- axe-core, which finds what keeps people from using a page: fetched once from the npm registry, checked against its digest, and
--- kept below build/. It is not part of molecule, and no other test needs it.

local uv = require "luv"
local emulator = require "tests.support.emulator"
local process = require "tests.support.process"

local axe = {}

local VERSION = "4.14.1"
local SHA512 = "1477dafa598d8d065f273d6af302aa203c02e83131707b7fa648cd41bd3d6b73"
  .. "4f8c22a0dab86ee6a6f64b8afbe804b214d36db85a2826965edfb3a0b9d546b5"
local URL = "https://registry.npmjs.org/axe-core/-/axe-core-%s.tgz"

local function run(command)
  return process.spawn { command = command }:wait_exit() == 0
end

local function digest(path)
  local child = process.spawn { command = { "/usr/bin/sha512sum", path } }
  child:wait_exit()
  return child.stdout:match "^%x+"
end

---The library as a script.
---@return string? text, string? problem
function axe.source()
  local directory = emulator.binary():match "^(.*)/[^/]*/"
  local archive = ("%s/axe-core-%s.tgz"):format(directory, VERSION)
  if not uv.fs_stat(archive) or digest(archive) ~= SHA512 then
    if not run { "/usr/bin/curl", "-sf", "--retry", "3", "-o", archive, URL:format(VERSION) } then
      return nil, "the npm registry cannot be reached"
    end
    assert(digest(archive) == SHA512, "the archive of axe-core has another digest than it should: " .. archive)
  end
  local child = process.spawn { command = { "/usr/bin/tar", "xzOf", archive, "package/axe.min.js" } }
  assert(child:wait_exit() == 0, child:report())
  return child.stdout
end

return axe
