# Writes OUTPUT: a C file with every file of FILES (paths under SOURCE_DIR) as a byte array and a table of them,
# `embedded_files`, declared in src/script/embedded.h. Names are relative to lua/: "molecule/emulator/init.lua",
# "examples/echo.lua".
set(text "#include \"${SOURCE_DIR}/src/script/embedded.h\"\n\n")
set(table "")
set(number 0)
foreach(file IN LISTS FILES)
    file(READ ${SOURCE_DIR}/${file} hex HEX)
    string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
    string(REGEX REPLACE "^lua/" "" name "${file}")
    string(APPEND text "static const unsigned char file_${number}[] = {\n${bytes}0x00};\n\n")
    string(APPEND table "    {\"${name}\", file_${number}, sizeof file_${number} - 1},\n")
    math(EXPR number "${number} + 1")
endforeach()
string(APPEND text "const struct embedded_file embedded_files[] = {\n${table}    {0, 0, 0}};\n")
file(WRITE ${OUTPUT} "${text}")
