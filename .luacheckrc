std = "lua54"
max_line_length = 130
files["tests/"].std = "+busted"
files["lua/molecule/types.lua"] = { ignore = { "212", "241" }, max_line_length = 170 } -- declarations without bodies
files["examples/*_spec.lua"] = { std = "+busted", read_globals = { -- with what molecule.testing adds to assert
  assert = { fields = { "replied", "no_reply", "skipped", "dead", "retried", "failed", "rejected", "truthy", "falsy", "equal", "same" },
    other_fields = true } } }
