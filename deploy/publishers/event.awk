# Prints one event as JSON, from the variables EVENT_DATE, EVENT_TYPE and so on.
#
# Empty variables are left out. All bytes that JSON requires to be escaped are escaped,
# so no name can add a key or end a string early. Run it with LC_ALL=C: otherwise a name
# that is not UTF-8 may stop awk, instead of being refused by rollcall as a dead letter.
BEGIN {
	for (code = 1; code < 32; code++)
		escape[sprintf("%c", code)] = sprintf("\\u%04x", code)
	escape["\""] = "\\\""
	escape["\\"] = "\\\\"

	count = split("date type machine user session terminal remote service", keys, " ")
	for (i = 1; i <= count; i++) {
		text = ENVIRON["EVENT_" toupper(keys[i])]
		if (text == "")
			continue
		printf "%s\"%s\":\"", (printed++ ? "," : "{"), keys[i]
		for (at = 1; at <= length(text); at++) {
			c = substr(text, at, 1)
			printf "%s", (c in escape ? escape[c] : c)
		}
		printf "\""
	}
	print "}"
}
