package rest

import (
	"regexp"
	"strings"
)

// ownPackage begins the names of the exceptions of our jar's main class. Their messages are written for the user, and
// so tell more than whatever caused them.
const ownPackage = "streamingetl."

// filePackage begins the names of Java's file exceptions, such as AccessDeniedException.
const filePackage = "java.nio.file."

var (
	thrown = regexp.MustCompile(`^((?:[\w$]+\.)+[\w$]+)(?:: |$)`)
	frame  = regexp.MustCompile(`^\s+(?:at \S|\.\.\. \d+ )`)
	// sideEffect begins an exception that was thrown while another one was handled: it is not the cause.
	sideEffect = regexp.MustCompile(`^\s+(?:Suppressed: |Caused by: )`)
)

// rootCause returns the message at the bottom of a Java stack trace: of our own exception if there is one, else of the
// last cause that has a message. A message may have several lines. One of Java's file exceptions is a path and no more:
// it comes with the exception's name, after the message of what it caused.
func rootCause(trace string) string {
	best, own := "", false
	for _, t := range causes(trace) {
		isOwn := strings.HasPrefix(t.class, ownPackage)
		switch {
		case t.message != "" && !own && strings.HasPrefix(t.class, filePackage):
			best = strings.TrimSuffix(best, ".")
			if best != "" {
				best += ": "
			}
			best += strings.TrimPrefix(t.class, filePackage) + ": " + t.message
		case t.message != "" && (isOwn || !own):
			best, own = t.message, isOwn
		case best == "":
			best = t.class
		}
	}
	return best
}

type throwable struct{ class, message string }

// causes returns the chain of what was thrown, outermost first.
func causes(trace string) []throwable {
	var chain []throwable
	var lines []string
	flush := func() {
		if text := strings.TrimSpace(strings.Join(lines, "\n")); text != "" {
			chain = append(chain, parseThrowable(text))
		}
		lines = nil
	}
	inFrames := false // after the first frame of a throwable nothing else of it follows
	for line := range strings.Lines(trace) {
		line = strings.TrimRight(line, "\r\n")
		cause, isCause := strings.CutPrefix(line, "Caused by: ")
		switch {
		case isCause:
			flush()
			lines, inFrames = []string{cause}, false
		case frame.MatchString(line), inFrames && sideEffect.MatchString(line):
			inFrames = true
		case strings.HasPrefix(line, "<Exception on server side:"), strings.HasPrefix(line, "End of exception on server side>"):
			flush()
			inFrames = false
		case !inFrames:
			lines = append(lines, line)
		}
	}
	flush()
	return chain
}

// parseThrowable parts the class from the message. Where an exception has none of its own, Java repeats its cause's,
// class and all, so the message may begin with classes too.
func parseThrowable(text string) throwable {
	var t throwable
	for {
		m := thrown.FindStringSubmatch(text)
		if m == nil || !isClass(m[1]) {
			break
		}
		if t.class == "" || strings.HasPrefix(m[1], ownPackage) {
			t.class = m[1]
		}
		text = text[len(m[0]):]
	}
	t.message = strings.TrimSpace(text)
	return t
}

// isClass tells a throwable's name from other dotted words, such as a host's name.
func isClass(name string) bool {
	simple := name[strings.LastIndexAny(name, ".$")+1:]
	for _, end := range []string{"Exception", "Error", "Throwable", "Failure"} {
		if strings.HasSuffix(simple, end) {
			return true
		}
	}
	return false
}
