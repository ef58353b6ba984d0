--- Reads a bill of materials from standard input; says what is wrong with it, and which libraries it lacks that `ldd` lists.
---     molecule version --sbom | lua5.4 tests/packages/sbom.lua <(ldd molecule)
local cjson = require "cjson"

local sbom = cjson.decode(io.read "a")
local function expect(fine, ...)
  if not fine then print(string.format(...)) end
end

expect(sbom.bomFormat == "CycloneDX" and sbom.specVersion == "1.5" and sbom.version == 1, "it is not CycloneDX 1.5")
local program = sbom.metadata.component
expect(program.type == "application" and program.name == "molecule" and program.licenses[1].license.id == "MIT",
  "it is not about molecule")

local files, references = {}, {}
for _, component in ipairs(sbom.components) do
  expect(component.type == "library" and component.version ~= "", "%s: no library with a version", component.name)
  expect(component.purl:find("^pkg:%w+/[%w%%/.+-]+@[%w%%.~-]+%?arch=%w+&distro=%w+%-[%d.]+$"), "%s: purl %s", component.name,
    component.purl)
  expect(not references[component["bom-ref"]], "%s is in it twice", component.name)
  expect(component.licenses and component.licenses[1].license.name ~= "", "%s has no license", component.name)
  references[component["bom-ref"]] = true
  for _, property in ipairs(component.properties) do files[property.value] = component.name end
end
for _, reference in ipairs(sbom.dependencies[1].dependsOn) do
  expect(references[reference], "it depends on %s, which is no component", reference)
  references[reference] = nil
end
expect(next(references) == nil, "it does not depend on %s", next(references))

local count = 0
for line in io.lines(arg[1]) do
  local name = line:match "^%s*([^ ]+%.so[^ ]*)"
  name = name and name:match "[^/]+$"
  if name and not name:find "^linux%-vdso" then
    count = count + 1
    expect(files[name], "it lacks %s", name)
  end
end
expect(count >= 4, "ldd lists %d libraries", count)
expect(files["libedit.so.2"], "it lacks libedit.so.2, which molecule repl loads")
