std = "lua54"
max_line_length = 130
files["tests/"].std = "+busted"
files["examples/*_spec.lua"].std = "+busted"
files["lua/molecule/types.lua"] = { ignore = { "212", "241" }, max_line_length = 170 } -- declarations without bodies
