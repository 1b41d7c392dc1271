#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The lamina command: options, exit status, results in each form, errors, dot commands.
. ./support.sh

# --- options and exit status ---
lamina --version
is "version is printed" "lamina 0.1.0" "$out"
is "version exits 0" 0 "$status"
lamina --help
has "help names the options" "--read-only" "$out"
is "help exits 0" 0 "$status"
lamina
is "no directory is wrong usage" 2 "$status"
has "no directory is said" "no database directory" "$err"
lamina --role king :memory:
is "an unknown role is wrong usage" 2 "$status"
lamina --mode xml :memory:
is "an unknown mode is wrong usage" 2 "$status"
lamina --batch :memory: "SELECT 1"
is "batch takes no SQL argument" 2 "$status"
lamina :memory: "SELECT 1" extra
is "a third argument is wrong usage" 2 "$status"
lamina "$work/no/such/parent" "SELECT 1"
is "a missing parent directory fails" 1 "$status"
has "a missing parent directory is said" "ERROR 42704" "$err"
lamina --read-only "$work/absent" "SELECT 1"
is "read-only makes no database" 1 "$status"
is "read-only leaves nothing behind" "no" "$([ -e "$work/absent" ] && echo yes || echo no)"

# --- the forms of results ---
table="CREATE TABLE t (id INT PRIMARY KEY, s TEXT, d DECIMAL(9,2), f DOUBLE, b BOOLEAN)"
rows="INSERT INTO t VALUES (1, 'a,\"b', 1.5, 0.1, true), (22, NULL, -0.05, 1e300, false), (3, '日本', NULL, 'NaN', NULL)"
lamina :memory: "$table; $rows; SELECT * FROM t ORDER BY id"
is "table form is aligned by width, numbers right, NULL visible" \
"CREATE TABLE
INSERT 3
 id | s    |     d |      f | b
----+------+-------+--------+------
  1 | a,\"b |  1.50 |    0.1 | true
  3 | 日本 |  NULL |    NaN | NULL
 22 | NULL | -0.05 | 1e+300 | false
(3 rows)" "$out"
lamina -m csv :memory: "$table; $rows; INSERT INTO t (id, s) VALUES (4, ''); SELECT * FROM t ORDER BY id"
is "csv form quotes what needs it and tells NULL from empty" \
'id,s,d,f,b
1,"a,""b",1.50,0.1,true
3,日本,,NaN,
4,"",,,
22,,-0.05,1e+300,false' "$out"
lamina -m json :memory: "$table; $rows; SELECT * FROM t ORDER BY id; SELECT 1 AS x WHERE false"
is "json form is an array of objects for each result" \
'[
 {"id":1,"s":"a,\"b","d":1.50,"f":0.1,"b":true},
 {"id":3,"s":"日本","d":null,"f":"NaN","b":null},
 {"id":22,"s":null,"d":-0.05,"f":1e+300,"b":false}
]
[]' "$out"
lamina -m line :memory: "SELECT 1 AS id, NULL AS name; SELECT 2 AS n"
is "line form is name = value" \
"  id = 1
name = NULL
n = 2" "$out"
lamina :memory: "SELECT E'a\\nb\\x1b[31m' AS s"
has "control characters cannot reach the terminal" 'a\nb\x1b[31m' "$out"
lamina :memory: "SELECT 1 AS x WHERE false"
is "an empty result has its header" \
" x
---
(0 rows)" "$(printf '%s\n' "$out" | sed 's/^--$/---/')"
lamina :memory: "$table; $rows; UPDATE t SET s = 'q' WHERE id > 1; DELETE FROM t; INSERT INTO t (id) VALUES (9) RETURNING id"
is "tags tell what was done" \
"CREATE TABLE
INSERT 3
UPDATE 2
DELETE 3
 id
----
  9
(1 row)
INSERT 1" "$(printf '%s\n' "$out" | sed 's/^---$/----/')"

# --- errors ---
lamina :memory: "SELECT 1;
  SELECT nme
  FROM t"
is "an error exits 1" 1 "$status"
has "an error tells code, line and column" "ERROR 42P01 at line 3, column 8: " "$err"
has "a caret stands under the place" "
    FROM t
         ^" "$err"
lamina :memory: "$table; SELECT idd FROM t"
has "the nearest name is offered" "HINT: " "$err"
lamina :memory: "SELECT '日本', nme"
has "the caret stands right of wide characters" "
  SELECT '日本', nme
                 ^" "
$err"
has "the column counts characters" "column 14:" "$err"
lamina -c "CREATE TABLE t (id INT PRIMARY KEY)" -c "INSERT INTO t VALUES (1)" \
    -c "INSERT INTO t VALUES (1)" -c "SELECT 77" :memory:
is "nothing runs after an error" "CREATE TABLE
INSERT 1" "$out"
has "errors without a place have the line of the statement" "ERROR 23505 at line 1, column 1: " "$err"
lamina --user eve :memory: "SELECT 1; CREATE NAMESPACE n"
is "a text is authorised whole before its first statement" "1" "$status$out"
has "a denial is placed in the whole text" "ERROR 42501 at line 1, column " "$err"

# --- where SQL comes from ---
lamina_in "SELECT 1 AS a; -- one
SELECT 'x;
y' AS s;
SELECT \$q\$;\$q\$ AS d /* ; /* ; */ */, E'\\';' AS e;
SELECT 2 AS last" -m csv :memory:
is "statements on standard input end at real semicolons" \
'a
1
s
"x;
y"
d,e
;,'"';"'
last
2' "$out"
lamina_in "SELECT 1 AS a;
SELECT 2 +;
SELECT 3 AS c;
" -m csv :memory:
is "standard input stops at the first error" "a
1" "$out"
is "standard input exits 1 after an error" 1 "$status"
has "the line is that of the input" "at line 2, column 11" "$err"
printf 'SELECT 1 AS a;\n\n  SELECT\n    oops;\n' >"$work/script.sql"
lamina -m csv -f "$work/script.sql" :memory:
is "a file runs to its error" "a
1" "$out"
has "errors name the file" "script.sql, line 4, column 5" "$err"
lamina -f "$work/missing.sql" :memory:
is "a missing file fails" 1 "$status"
lamina_in "SELECT 'open" :memory:
is "an open quote at the end is an error" 1 "$status"
has "an open quote is named" "unterminated" "$err"
lamina_in "" :memory:
is "empty input is fine" "0" "$status$out$err"
awk 'BEGIN { print "CREATE TABLE t (id INT PRIMARY KEY);"; for (i = 0; i < 3000; i++) print "INSERT INTO t VALUES (" i ");"; print "SELECT COUNT(*) AS n FROM t;" }' >"$work/many.sql"
lamina -m csv -f "$work/many.sql" :memory:
is "thousands of statements stream through" "n
3000" "$out"

# --- durability of what was done, read-only, check ---
lamina --sync "$work/db" "CREATE TABLE t (id INT PRIMARY KEY); INSERT INTO t VALUES (1), (2)"
is "a database is made" 0 "$status"
lamina -m csv "$work/db" "SELECT COUNT(*) AS n FROM t"
is "rows are there after reopening" "n
2" "$out"
lamina -m csv --read-only "$work/db" "SELECT COUNT(*) AS n FROM t"
is "read-only reads" "n
2" "$out"
lamina --read-only "$work/db" "INSERT INTO t VALUES (3)"
is "read-only does not write" 1 "$status"
has "read-only says so" "ERROR 25006" "$err"
lamina --check "$work/db"
is "check finds nothing in a good database" "$work/db: no problem found" "$out"
is "check exits 0" 0 "$status"
lamina --check "$work"
is "check of what is no database fails" 1 "$status"
lamina -m csv :memory: "CREATE TABLE t (id INT PRIMARY KEY)"
is "memory leaves no file" "no" "$([ -e :memory: ] && echo yes || echo no)"

# --- users and roles ---
lamina -m csv --user alice :memory: "SELECT CURRENT_USER AS u, CURRENT_ROLE AS r"
is "a user who is not in system.users has role user" "u,r
alice,user" "$out"
lamina -m csv --user alice --role service :memory: "SELECT CURRENT_USER AS u, CURRENT_ROLE AS r"
is "a role can be given" "u,r
alice,service" "$out"
lamina -m csv :memory: "SELECT CURRENT_USER AS u, CURRENT_ROLE AS r"
is "without --user it is system" "u,r
system,system" "$out"
lamina "$work/db" "CREATE USER dora WITH ROLE dba"
lamina -m csv --user dora "$work/db" "SELECT CURRENT_ROLE AS r"
is "the role comes from system.users" "r
dba" "$out"
lamina --user alice --role user "$work/db" "CREATE NAMESPACE n"
has "a user may not make namespaces" "ERROR 42501" "$err"

# --- dot commands ---
lamina_in ".mode csv
CREATE NAMESPACE n; CREATE USER TABLE n.own (id INT PRIMARY KEY, v TEXT);
CREATE INDEX own_v ON n.own (v);
.tables n
.user bob
SELECT CURRENT_USER AS u;
.user bob dba
SELECT CURRENT_ROLE AS r;
.mode table
.schema n.own
.quit
SELECT 'not reached';
" :memory:
is "dot commands exit 0" "0" "$status$err"
has ".tables lists a namespace" "n,own,user," "$out"
has ".user changes the user" "u
bob" "$out"
has ".user takes a role" "r
dba" "$out"
has ".schema shows columns" " id          | INT       | false" "$out"
has ".schema shows indexes" "INDEX own_v (v)" "$out"
is ".quit ends the input" "" "$(echo "$out" | grep reached)"
lamina_in ".tabels
" :memory:
is "an unknown command fails" 1 "$status"
has "the nearest command is offered" 'did you mean ".tables"' "$err"
lamina_in ".mode xml
" :memory:
has "an unknown mode is named" '"xml"' "$err"
lamina_in ".mode
" :memory:
has "a missing argument shows the usage" "usage: .mode table|csv|json|line" "$err"
lamina :memory: ".help"
has ".help lists the commands" ".timer" "$out"
printf 'SELECT 5 AS five;\n' >"$work/read.sql"
lamina_in ".mode csv
.read $work/read.sql
" :memory:
is ".read runs a file" "five
5" "$out"
printf '.read %s\n' "$work/loop.sql" >"$work/loop.sql"
lamina -f "$work/loop.sql" :memory:
is "files that read themselves end" 1 "$status"
has "depth of reading is limited" "more than 16 deep" "$err"
lamina_in ".timer on
SELECT 1;
" -m csv :memory:
has ".timer prints times" "Time: " "$err"

# --- a conversation through pipes ---
mkfifo "$work/to" "$work/from"
"$LAMINA" -m csv :memory: <"$work/to" >"$work/from" &
pid=$!
exec 3>"$work/to" 4<"$work/from"
for i in 1 2; do
    printf 'SELECT %d AS n;\n' "$i" >&3
    is "statement $i is answered before the next is sent" "n
$i" "$(timeout 60 head -n 2 <&4)"
done
exec 3>&-
wait "$pid"
is "the end of the conversation ends the program" 0 "$?"
exec 4<&-

# --- output that nobody takes ---
status=0
"$LAMINA" -m csv :memory: "SELECT 1" >/dev/full 2>"$work/err" || status=$?
is "a full output device is an error" 1 "$status"
has "a full output device is said" "No space left" "$(cat "$work/err")"

finish
