--- Raises an error at the line of the script that called into the API, however deep inside it the mistake is found.

---@type fun(text: string) what is wrong
return require "molecule.core".misuse
