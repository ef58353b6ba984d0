--- What a release is made with, as far as it can be looked at without making one: tests/packages makes and tests the packages.
local cjson = require "cjson"
local emulator = require "tests.support.emulator"
local host = require "tests.support.host"
local process = require "tests.support.process"
local uv = require "luv"

local function run(command, options)
  options = options or {}
  local child = process.spawn { command = command, cwd = options.cwd }
  local code = child:wait_exit()
  assert(code == (options.code or 0), child:report())
  return child.stdout, child.stderr
end

local function exists(path) return os.execute(("test -e %q"):format(path)) end
local function workflow() return host.read ".github/workflows/release.yml" end

describe("a release", function()
  after_each(function()
    process.kill_all()
    host.clean_up()
  end)

  it("has a bill of materials with every library of the program", function()
    local sbom = run { emulator.binary(), "version", "--sbom" }
    assert.equal("CycloneDX", cjson.decode(sbom).bomFormat)
    if not os.execute "command -v dpkg-query >/dev/null" then return pending "no dpkg here" end
    local path = host.directory() .. "/ldd"
    -- those of the sanitizers are the test's
    local listed = run({ "ldd", emulator.binary() }):gsub("[^\n]*lib%l+san%.so[^\n]*\n", "")
    host.write(path, (listed:gsub("[^\n]*libstdc%+%+%.so[^\n]*\n", ""):gsub("[^\n]*libgcc_s%.so[^\n]*\n", "")))
    local child = process.spawn { command = { "lua5.4", "tests/packages/sbom.lua", path }, stdin = sbom }
    assert.equal(0, child:wait_exit(), child:report())
    assert.equal("", child.stdout)
  end)

  it("has a workflow that is YAML, and calls scripts that there are, by options that they have", function()
    local check = "import sys, yaml, json; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))"
    local jobs = cjson.decode((run { "python3", "-c", check, ".github/workflows/release.yml" })).jobs
    local names = {}
    for name in pairs(jobs) do names[#names + 1] = name end
    table.sort(names)
    assert.same({ "packages", "release", "test" }, names)
    assert.equal("test", jobs.packages.needs)
    assert.equal("packages", jobs.release.needs)
    local count = 0
    for script in workflow():gmatch "%f[%w.][%w./-]*[%w]/[%w-]+" do
      if script:find "^tests/" or script:find "^dist/" or script:find "^cmake/" then
        count = count + 1
        assert(exists(script), script)
      end
    end
    assert(count >= 7, count)
    assert(workflow():find("v[0-9]+.[0-9]+.[0-9]+", 1, true))
    assert(workflow():find "amd64.*arm64")
  end)

  it("attests the bills of materials by the names that dist/make gives them", function()
    local make, count = host.read "dist/make", 0
    for name in workflow():gmatch "sbom%-path: release/(%S+%s?[^\n]*)" do
      count = count + 1
      local pattern = name:gsub("%${{ env.VERSION }}", "$version"):gsub("arm64", "$architecture"):gsub("amd64", "$architecture")
      local shown = pattern:gsub("^molecule%-%$version%-linux%-%$architecture", "$name")
      assert(make:find(pattern, 1, true) or make:find(shown, 1, true), name)
    end
    assert.equal(4, count)
    assert(make:find("name=molecule-$version-linux-$architecture", 1, true))
  end)

  describe("names the commit that it was built from:", function()
    local GIT = { "git", "-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main" }
    local directory

    before_each(function() directory = host.directory() end)

    local function git(...)
      local command = { table.unpack(GIT) }
      for _, word in ipairs { "-C", directory, ... } do command[#command + 1] = word end
      return (run(command))
    end

    local function commit()
      git("commit", "--quiet", "--allow-empty", "-m", "x")
      return git("rev-parse", "HEAD"):sub(1, 12)
    end

    --- What the build would name, of the sources in `directory`.
    local function find(given, code)
      local output = directory .. "/commit.c"
      local _, problem = run({ "cmake", "-DOUTPUT=" .. output, "-DSOURCE_DIR=" .. directory, "-DCOMMIT=" .. (given or ""), "-P",
        "cmake/commit.cmake" }, { code = code })
      return code and problem or host.read(output):match 'versions_commit%[%] = "(.-)";'
    end

    it("in a checkout its own, whatever repository is around it", function()
      git "init"
      local outer = directory
      assert.equal(commit(), find())
      directory = outer .. "/inner"
      run { "mkdir", directory }
      assert.equal("unknown", find())
      git "init"
      assert.equal("unknown", find()) -- nothing is committed
      assert.equal(commit(), find())
    end)

    it("in an archive of git the one that was archived, and one that is given before all", function()
      run { "cp", "-r", "--parents", "cmake/commit", "cmake/commit.cmake", ".gitattributes", directory }
      assert.equal("unknown", find()) -- a copy of the files
      git "init"
      git("add", "--all")
      local hash = commit()
      local archive = directory .. "/archive.tar"
      git("archive", "--output", archive, "HEAD")
      directory = directory .. "/unpacked"
      run { "mkdir", directory }
      run { "tar", "-C", directory, "-xf", archive }
      assert.equal(hash, find())
      assert.equal("v1.2-3_a", find "v1.2-3_a")
      assert.matches("MOLECULE_COMMIT is a commit's hash or name, of letters, digits and %._%-; got \"b c\"",
        (find("b c", 1):gsub("%s+", " ")))
    end)

    it("the build writes it again after a commit, and only then", function()
      run { "cp", "-r", "--parents", "CMakeLists.txt", "cmake", "src", "lua", "include", "examples", "dist", "docs", "LICENSE",
        "CHANGELOG.md", "README.md", directory }
      local built, written = directory .. "/build", directory .. "/build/commit.c"
      local function build()
        run { "cmake", "--build", built, "--target", "commit" }
        local stat = assert(uv.fs_stat(written))
        return host.read(written):match '"(%x+)"', stat.mtime.sec * 1e9 + stat.mtime.nsec
      end
      git "init"
      local first = commit()
      run { "cmake", "-S", directory, "-B", built, "-G", "Ninja" }
      local named, time = build()
      assert.equal(first, named)
      assert.same({ named, time }, { build() })
      local second = commit()
      assert.not_equal(first, second)
      assert.equal(second, (build()))
    end)
  end)

  it("has the changelog as notes, and no other version's", function()
    local version = host.read "CMakeLists.txt":match "project%(molecule VERSION ([%d.]+)"
    local directory = host.directory()
    run { "cp", "-r", "--parents", "dist/notes", "tests/support/help.sh", directory }
    host.write(directory .. "/CMakeLists.txt", "project(molecule VERSION 0.2.0 LANGUAGES C)\n")
    host.write(directory .. "/CHANGELOG.md", "# Changelog\n\nAbout.\n\n## 2026-12-02\n\nnew\n\n## 0.1.0 (2026-12-01)\n\nold\n")
    assert.equal("## 2026-12-02\n\nnew\n\n", (run({ "dist/notes", "0.2.0" }, { cwd = directory })))
    local _, problem = run({ "dist/notes", "0.1.0" }, { cwd = directory, code = 1 })
    assert(problem:find("this is version 0.2.0 (CMakeLists.txt), not 0.1.0", 1, true), problem)
    assert(run({ "dist/notes", version }):find("\n### Added\n", 1, true))
  end)

  it("has an image with nothing that the package or the program does not have", function()
    local text = host.read "Containerfile"
    local package = host.read "cmake/package.cmake"
    assert(text:find "\nUSER 65532:65532\n" and package:find("set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME molecule)", 1, true))
    assert(text:find("COPY molecule_*.deb /tmp/", 1, true))
    assert(text:find("install -y --no-install-recommends /tmp/molecule_*.deb", 1, true))
    local connect, status = run { emulator.binary(), "connect", "--help" }, run { emulator.binary(), "status", "--help" }
    for option in text:match "#     podman run.-(molecule connect.-)\n#\n":gmatch "%-%-[%l-]+" do
      assert(connect:find(option, 1, true), option)
    end
    assert(connect:find "MOLECULE_STATE_DIR" and connect:find "MOLECULE_WORKSPACE_TOKEN")
    assert(text:find("CMD molecule status \"$MOLECULE_WORKSPACE\" --check || exit 1", 1, true))
    assert(status:find("--check", 1, true))
    assert(status:find "0  running and healthy")
    -- what the health check says of a workspace that is not there
    local child = process.spawn { command = { emulator.binary(), "status", "7f1d0c9e-0000-4000-8000-000000000000", "--check" },
      env = { MOLECULE_STATE_DIR = host.directory() } }
    assert.equal(3, child:wait_exit())
  end)

  it("has the files that docs/operations.md names", function()
    local page, version = host.read "docs/operations.md", host.read "CMakeLists.txt":match "project%(molecule VERSION ([%d.]+)"
    for _, name in ipairs { ("molecule_%s-1_amd64.deb"):format(version), ("libmolecule-dev_%s-1_amd64.deb"):format(version),
      ("molecule-%s-linux-amd64.tar.gz"):format(version), "SHA256SUMS.minisig", "molecule.pub" } do
      assert(page:find(name, 1, true), name)
    end
    local make = host.read "dist/make"
    assert(make:find("name=molecule-$version-linux-$architecture", 1, true) and make:find('"$out/$name.tar.gz"', 1, true))
    assert(host.read "cmake/package.cmake":find("set(CPACK_DEBIAN_PACKAGE_RELEASE 1)", 1, true))
    assert(workflow():find("-p release/molecule.pub", 1, true) and workflow():find("release/molecule.pub)\" >>notes.md", 1, true))
    assert(workflow():find("SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) dist/make", 1, true))
  end)

  it("is refused where it cannot be made whole", function()
    local _, problem = run({ "dist/make" }, { code = 2 })
    assert(problem:find("usage: dist/make", 1, true), problem)
    _, problem = run({ "dist/make", "--sign", "/nothing", "x" }, { code = 2 })
    assert(problem:find('"/nothing" cannot be read', 1, true), problem)
    _, problem = run({ "dist/make", "docs" }, { code = 2 })
    assert(problem:find("docs is not empty", 1, true) or problem:find "is missing: cmake/install%-dependencies release", problem)
  end)
end)
