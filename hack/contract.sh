#!/usr/bin/env bash
# The lines of docs/contract.md with the tests that carry their numbers. Fails when a line has no test, or a
# test a number that is no line.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# A number counts where a comment begins with it and a test follows, or a table of the differential test.
git ls-files --cached --others --exclude-standard '*.rs' | xargs awk '
    function forget() { numbers = ""; is_test = 0 }
    FILENAME != "docs/contract.md" && FNR == 1 { forget(); is_table = FILENAME ~ /differential\/cases\// }
    FILENAME == "docs/contract.md" {
        if (/^## /) is_later = /\*\(later\)\*/
        if (match($0, /^- \*\*[A-Z][0-9]+\*\*/)) {
            id = substr($0, 5, RLENGTH - 6)
            order[++lines] = id
            text[id] = substr($0, RLENGTH + 2)
            optional[id] = is_later || /\*\(later\)\*/
            section[substr(id, 1, 1)] = 1
        }
        next
    }
    /^[[:space:]]*\/\/[\/]? [A-Z][0-9]+(, [A-Z][0-9]+)*[:.,]/ {
        match($0, /[A-Z][0-9]+(, [A-Z][0-9]+)*/)
        numbers = numbers (numbers == "" ? "" : ", ") substr($0, RSTART, RLENGTH)
    }
    /^[[:space:]]*#\[.*(test|rstest)/ { is_test = 1 }
    /^[[:space:]]*(pub(\([a-z]+\))? )?(async )?fn [a-z_0-9]+/ {
        if (numbers != "" && (is_test || is_table)) {
            match($0, /fn [a-z_0-9]+/)
            name = FILENAME ":" substr($0, RSTART + 3, RLENGTH - 3)
            count = split(numbers, each, ", ")
            for (i = 1; i <= count; i++) {
                id = each[i]
                if (id in text) tests[id] = tests[id] "\n       " name
                else if (substr(id, 1, 1) in section) unknown = unknown "\n       " id " in " name
            }
        }
        forget()
    }
    END {
        for (i = 1; i <= lines; i++) {
            id = order[i]
            printf "%-4s  %s%s\n", id, text[id], tests[id]
            if (tests[id] != "") covered++
            else if (optional[id]) later = later " " id
            else missing = missing " " id
        }
        printf "\n%d lines, %d with tests", lines, covered
        if (later != "") printf "\nlater, without a test:%s", later
        if (missing != "") printf "\nWITHOUT A TEST:%s", missing
        if (unknown != "") printf "\nNUMBERS THAT ARE NO LINE:%s", unknown
        printf "\n"
        exit missing != "" || unknown != ""
    }
' docs/contract.md
