# MOLECULE_STATIC: the archives in place of the shared libraries, so that the program needs fewer packages. libcurl and
# GnuTLS, which libmicrohttpd uses, stay shared: Kerberos, LDAP and p11-kit, which they need, have no archives in Debian.
set(MOLECULE_ARCHIVES "")
function(link_archive prefix name)
    find_library(${prefix}_ARCHIVE NAMES lib${name}.a REQUIRED)
    set(archive ${${prefix}_ARCHIVE})
    set(MOLECULE_ARCHIVES ${MOLECULE_ARCHIVES} ${archive} PARENT_SCOPE)
    if(prefix STREQUAL LUA) # C modules that scripts require, such as cjson, find all of it in the program
        set(archive "$<LINK_LIBRARY:WHOLE_ARCHIVE,${archive}>")
    endif()
    set_property(TARGET PkgConfig::${prefix} PROPERTY INTERFACE_LINK_LIBRARIES ${archive} ${ARGN})
endfunction()
link_archive(LUA lua5.4 m dl)
link_archive(LIBUV uv_a dl rt)
link_archive(JANSSON jansson)
link_archive(SQLITE sqlite3 m dl z)
find_library(GNUTLS_LIBRARY NAMES gnutls REQUIRED)
link_archive(MICROHTTPD microhttpd ${GNUTLS_LIBRARY})
link_archive(NETTLE nettle)
set_property(TARGET PkgConfig::LUA APPEND PROPERTY INTERFACE_LINK_OPTIONS "LINKER:--export-dynamic-symbol=lua_*"
    "LINKER:--export-dynamic-symbol=luaL_*" "LINKER:--export-dynamic-symbol=luaopen_*")
