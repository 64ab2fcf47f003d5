# Purpose: tests of CTest under liblinger, so that none fails with "Address already in use" because
# of the one before it. Copy this file, include() it, and name the tests that start servers.
#
# Run, and expected output: see CMakeLists.txt beside it.
#
# All tests at once, among them static programs and those in Go, need no line in the project:
#
#   cmake -DCMAKE_TEST_LAUNCHER="linger;run;-r;--" ...                 CMake 3.29 and later
#   cmake -DCMAKE_CROSSCOMPILING_EMULATOR="linger;run;-r;--" ...       before that

find_library(LIBLINGER liblinger.so REQUIRED)

# tests_under_linger(TEST...)
function(tests_under_linger)
    # A policy of several rules is separated by semicolons, as CMake's lists are: escape them.
    set_property(TEST ${ARGN} APPEND PROPERTY ENVIRONMENT
        "LD_PRELOAD=${LIBLINGER}"
        "LINGER_REUSEADDR=1"
        "LINGER_MODE=off port=22\\;fin-rst role=server")
endfunction()
