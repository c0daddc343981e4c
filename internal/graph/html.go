package graph

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"strings"
)

var (
	//go:embed page.html
	pageText string
	//go:embed page.css
	pageStyle string
	//go:embed page.js
	pageScript string
)

// HTML is the picture as a page of its own, with zoom, search, and the details of what is
// pointed at. It loads nothing, and no script but its own can run in it (Content Security
// Policy level 2, with hashes of what it has).
func (m *Model) HTML() string {
	style, script := strings.TrimSpace(pageStyle), strings.TrimSpace(pageScript)
	return strings.NewReplacer(
		"TITLE", escaped(visible(m.Title())),
		"'STYLES'", hashed(style)+" "+hashed(strings.TrimSpace(pictureStyle)), "'SCRIPTS'", hashed(script),
		"PAGE_STYLE", style, "DRAWING", m.drawing(), "SCRIPT<", script+"<",
	).Replace(pageText)
}

// hashed names a text in a Content Security Policy.
func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
