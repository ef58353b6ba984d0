--- busted under the Lua that runs this file. `busted --lua=lua5.4` runs itself a second time by way of a shell, without
--- quotes: a --filter with a space would not survive it.
require "busted.runner" { standalone = false }
