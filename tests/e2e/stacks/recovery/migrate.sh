# Migrates; where that fails, leaves behind in the server what the test has asked for.
bin/migrate && exit
code=$?
. bin/database
obstacle=$(query --dbname postgres --command "TABLE obstacle" 2>/dev/null)
[ -z "$obstacle" ] || query --command "$obstacle"
exit $code
