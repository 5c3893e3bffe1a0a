package decode

// The first millisecond of year 1 and the last of year 9999, UTC.
const (
	minMillis = -62135596800000
	maxMillis = 253402300799999
)

// parseTimestamp reads YYYY-MM-DDThh:mm:ss, a fraction of 1 to 9 digits or
// none, then Z, ±hh:mm or nothing, as milliseconds since 1970 UTC. RFC 3339,
// section 5.6, but for the upper case of T and Z, for leap seconds, which
// milliseconds since 1970 cannot tell, and for the missing offset.
func parseTimestamp(s []byte) (int64, bool) {
	if len(s) < 19 || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' {
		return 0, false
	}
	year := two(s[0], s[1])*100 + two(s[2], s[3])
	month, day := two(s[5], s[6]), two(s[8], s[9])
	hour, minute, second := two(s[11], s[12]), two(s[14], s[15]), two(s[17], s[18])
	if year-1 >= 9999 || month-1 >= 12 || day-1 >= 31 || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	if day > 28 && day > daysIn(year, month) {
		return 0, false
	}
	ms := (daysSince1970(year, month, day)*86400 + int64(hour*3600+minute*60+second)) * 1000

	rest := s[19:]
	if len(rest) == 5 && rest[0] == '.' && rest[4] == 'Z' { // as almost all have it
		fraction := two('0', rest[1])*100 + two(rest[2], rest[3])
		return ms + int64(fraction), fraction < 1000
	}
	if len(rest) > 0 && rest[0] == '.' {
		n, unit := 1, int64(100)
		for ; n < len(rest) && rest[n]-'0' <= 9; n++ {
			ms += int64(rest[n]-'0') * unit
			unit /= 10
		}
		if n == 1 || n > 10 {
			return 0, false
		}
		rest = rest[n:]
	}
	switch {
	case len(rest) == 0 || len(rest) == 1 && rest[0] == 'Z':
	case len(rest) == 6 && (rest[0] == '+' || rest[0] == '-') && rest[3] == ':':
		hour, minute := two(rest[1], rest[2]), two(rest[4], rest[5])
		if hour > 23 || minute > 59 {
			return 0, false
		}
		offset := int64(hour*60+minute) * 60_000
		if rest[0] == '+' {
			offset = -offset
		}
		ms += offset
	default:
		return 0, false
	}
	return ms, minMillis <= ms && ms <= maxMillis
}

// two is the value of two digits, far beyond 9999 when they are not digits.
func two(a, b byte) uint {
	a, b = a-'0', b-'0'
	if a > 9 || b > 9 {
		return 1 << 20
	}
	return uint(a)*10 + uint(b)
}

func daysIn(year, month uint) uint {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// daysSince1970 counts days in the Gregorian calendar. Years are taken to
// begin in March, so that the leap day is a year's last: the days before a
// month are then a straight line, rounded down.
func daysSince1970(year, month, day uint) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	return int64(365*year+year/4-year/100+year/400+(153*(month-3)+2)/5+day) - 719469
}
