# Writes OUTPUT: a CycloneDX 1.5 bill of materials of the program. LIBRARIES: the shared libraries and archives that it is
# linked with, and OPTIONAL: those that it loads when it needs them, as paths. What the shared ones need is looked up with
# ldd, their packages with dpkg-query; where there is neither, PACKAGES ("libcurl=7.88.1;…", from pkg-config) are named.
cmake_minimum_required(VERSION 3.25)

set(components "")
set(references "")

# The short names that the package's copyright file has, each once, as JSON. Where it is prose: where that is.
function(find_licenses package result)
    set(path /usr/share/doc/${package}/copyright)
    set(names "as in /usr/share/doc/${package}/copyright of the package")
    if(EXISTS ${path})
        file(STRINGS ${path} format REGEX "^Format: " LIMIT_COUNT 1)
        file(STRINGS ${path} lines REGEX "^License: *[^ ]")
        if(format AND lines)
            string(REGEX REPLACE "[\"\\]" "" names "${lines}")
            list(TRANSFORM names REPLACE "^License: *" "")
            list(TRANSFORM names STRIP)
            list(REMOVE_DUPLICATES names)
        endif()
    endif()
    list(TRANSFORM names PREPEND "{\"license\": {\"name\": \"")
    list(TRANSFORM names APPEND "\"}}")
    list(JOIN names ", " names)
    set(${result} "${names}" PARENT_SCOPE)
endfunction()

function(add_component name version purl licenses scope files)
    set(text "    {\"type\": \"library\", \"bom-ref\": \"${purl}\", \"name\": \"${name}\", \"version\": \"${version}\",\n")
    string(APPEND text "     \"scope\": \"${scope}\", \"purl\": \"${purl}\"")
    if(licenses)
        string(APPEND text ",\n     \"licenses\": [${licenses}]")
    endif()
    set(properties "")
    foreach(file IN LISTS files)
        list(APPEND properties "{\"name\": \"molecule:file\", \"value\": \"${file}\"}")
    endforeach()
    if(properties)
        list(JOIN properties ", " properties)
        string(APPEND text ",\n     \"properties\": [${properties}]")
    endif()
    set(components ${components} "${text}}" PARENT_SCOPE)
    set(references ${references} "\"${purl}\"" PARENT_SCOPE)
endfunction()

# what the shared ones need, too
set(files "")
set(archives "")
foreach(library IN LISTS LIBRARIES OPTIONAL)
    if(library MATCHES "\\.a$")
        list(APPEND archives ${library})
        list(APPEND files ${library})
        continue()
    endif()
    execute_process(COMMAND ldd ${library} OUTPUT_VARIABLE listed ERROR_QUIET)
    string(REGEX MATCHALL "/[^ \n]*\\.so[^ \n]*" needed "${listed}")
    # the name that programs ask for, not that of the -dev package
    execute_process(COMMAND objdump -p ${library} OUTPUT_VARIABLE header ERROR_QUIET)
    if(header MATCHES "SONAME +([^\n]+)")
        get_filename_component(folder ${library} DIRECTORY)
        set(library ${folder}/${CMAKE_MATCH_1})
    endif()
    list(APPEND files ${library} ${needed})
endforeach()
list(REMOVE_DUPLICATES files)

# "package: path" for each; dpkg knows some below /lib that are found below /usr/lib
set(packages "")
foreach(file IN LISTS files)
    file(REAL_PATH ${file} real)
    string(REGEX REPLACE "^/usr/lib" "/lib" merged ${real})
    execute_process(COMMAND dpkg-query -S ${real} ${merged} OUTPUT_VARIABLE found ERROR_QUIET)
    if(NOT found MATCHES "^([^:\n]+)(:[^: \n]+)?: ")
        continue()
    endif()
    set(package ${CMAKE_MATCH_1})
    list(APPEND packages ${package})
    get_filename_component(name ${file} NAME)
    list(APPEND files_of_${package} ${name})
    if(file IN_LIST OPTIONAL)
        set(optional ${package})
    endif()
endforeach()
list(REMOVE_DUPLICATES packages)
list(SORT packages)

file(STRINGS /etc/os-release release)
foreach(line IN LISTS release)
    if(line MATCHES "^(ID|VERSION_ID)=\"?([^\"]*)\"?$")
        set(system_${CMAKE_MATCH_1} ${CMAKE_MATCH_2})
    endif()
endforeach()
foreach(package IN LISTS packages)
    execute_process(COMMAND dpkg-query -W "-f=\${Version} \${Architecture}\n" ${package} OUTPUT_VARIABLE about)
    string(REGEX MATCH "^([^ ]+) ([^\n]+)" about "${about}")
    set(version ${CMAKE_MATCH_1})
    set(architecture ${CMAKE_MATCH_2})
    string(REPLACE "+" "%2B" encoded "${version}")
    string(REPLACE ":" "%3A" encoded "${encoded}")
    string(REPLACE "+" "%2B" name "${package}")
    find_licenses(${package} licenses)
    list(REMOVE_DUPLICATES files_of_${package})
    set(scope required)
    if(package STREQUAL optional)
        set(scope optional)
    endif()
    add_component(${package} ${version}
        "pkg:deb/${system_ID}/${name}@${encoded}?arch=${architecture}&distro=${system_ID}-${system_VERSION_ID}"
        "${licenses}" ${scope} "${files_of_${package}}")
endforeach()
if(NOT packages)
    foreach(package IN LISTS PACKAGES)
        string(REGEX MATCH "^([^=]+)=(.*)$" package ${package})
        add_component(${CMAKE_MATCH_1} ${CMAKE_MATCH_2} "pkg:generic/${CMAKE_MATCH_1}@${CMAKE_MATCH_2}" "" required "")
    endforeach()
endif()

list(JOIN components ",\n" components)
set(purl "pkg:generic/molecule@${VERSION}")
list(JOIN references ", " references)
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT [[{
  "bomFormat": "CycloneDX",
  "specVersion": "1.5",
  "version": 1,
  "metadata": {
    "component": {"type": "application", "bom-ref": "@purl@", "name": "molecule",
                  "version": "@VERSION@", "purl": "@purl@",
                  "licenses": [{"license": {"id": "MIT"}}]}
  },
  "components": [
@components@
  ],
  "dependencies": [
    {"ref": "@purl@", "dependsOn": [@references@]}
  ]
}
]])
