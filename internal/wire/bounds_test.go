package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"strings"
	"testing"
)

// step is what most frames are full of.
type step struct{ Action, Object, Detail string }

type message struct {
	Done  bool
	Steps []step
	Words map[string]string
	Tree  map[string]step
	Nums  []int64
	Addrs []inner
	Texts []string
	Lists [][]step
	Next  *message
	Text  string
}

// A frame costs less than four times its bytes, whatever it is full of. What is read of it
// goes on the heap in all, whether it is garbage at once or not.
func TestFramesOfNothing(t *testing.T) {
	for name, part := range map[string]string{
		`{"Steps":[#]}`:            `{}`,
		`{"Nums":[#]}`:             `1`,
		`{"Texts":[#]}`:            `""`,
		`{"Addrs":[#]}`:            `null`,
		`{"Lists":[#]}`:            `[]`,
		`{"Lists":[[#]]}`:          `{}`,
		`{#}`:                      `"Next":null,"Next":{}`,
		`{"Words":{#}}`:            `"a":""`,
		`{"Tree":{#}}`:             `"a":{}`,
		`{"Other":[#]}`:            `[{}]`,
		`{"Texts":[#],"Nums":[1]}`: `"` + strings.Repeat("x", 100) + `"`,
		`{"Text":"#"}`:             `\ufffd`,
		`{"Texts":["#"]}`:          strings.Repeat("\xff", 50),
	} {
		before, after, _ := strings.Cut(name, "#")
		glue := ","
		if strings.HasSuffix(before, `"`) {
			glue = ""
		}
		size := 5 << 20
		if part == `{}` {
			size = 63 << 20
		}
		n := size / (len(part) + len(glue))
		body := before + strings.TrimSuffix(strings.Repeat(part+glue, n), ",") + after
		frame := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
		var was, is runtime.MemStats
		runtime.ReadMemStats(&was)
		var m message
		err := NewConn(bytes.NewReader(frame), nil).Receive(&m)
		runtime.ReadMemStats(&is)
		took := is.TotalAlloc - was.TotalAlloc
		t.Logf("%s of %q: %.2f times its bytes, %v", name, part, float64(took)/float64(len(frame)), err)
		if took >= 4*uint64(len(frame)) {
			t.Errorf("%s of %q: %d bytes in memory for %d: %v", name, part, took, len(frame), err)
		}
		runtime.KeepAlive(&m)
	}
}

func TestBounds(t *testing.T) {
	for name, text := range map[string]string{
		"deep":               `{"Other":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`,
		"deep in itself":     strings.Repeat(`{"Next":`, 40) + `{}` + strings.Repeat(`}`, 40),
		"never closed":       `{"Other":` + strings.Repeat("[", 1<<20),
		"many and empty":     `{"Steps":[{}` + strings.Repeat(",{}", 1<<20) + `]}`,
		"many that are none": `{"Nums":[1` + strings.Repeat(",1", 3<<20) + `]}`,
		"a text too long":    `{"Text":"` + strings.Repeat("x", 17<<20) + `"}`,
	} {
		if err := Unmarshal([]byte(text), &message{}); !errors.Is(err, ErrBounds) || len(err.Error()) > 200 {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string]string{
		"a long number":  `{"Nums":[` + strings.Repeat("1", 1<<20) + `]}`,
		"a long address": `{"Addrs":[{"Addr":"` + strings.Repeat("1", 1<<20) + `"}]}`,
		"no UTF-8":       "{\"Text\":\"\xff\"}",
	} {
		if err := Unmarshal([]byte(text), &message{}); err == nil || len(err.Error()) > 200 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
