package roster

import (
	"encoding/binary"
	"errors"
	"slices"
)

// appendSources appends what was read of the sources; see Encoding.
func appendSources(b []byte, s *sources) []byte {
	if s == nil {
		s = new(sources)
	}
	b = binary.AppendUvarint(b, uint64(len(s.list)))
	for i := range s.list {
		o := &s.list[i]
		b = appendString(b, o.Name)
		for _, n := range [...]uint64{o.Missing, o.Gap, o.Recreated} {
			b = binary.AppendUvarint(b, n)
		}
		b = appendTime(b, o.resumed, 0)
	}
	b = binary.AppendUvarint(b, uint64(len(s.creations)))
	for i := range s.creations {
		c := &s.creations[i]
		b = appendString(binary.AppendUvarint(b, uint64(c.source)), c.id)
		b = binary.AppendUvarint(binary.AppendUvarint(b, c.sequence), c.lost)
	}
	return b
}

// errSources says that sources are not as appendSources writes them.
var errSources = errors.New("sources: not in the form that is written")

// sources decodes what was read of the sources.
func (d *decoder) sources() error {
	var n uint64
	if err := d.number(&n); err != nil || n > maxSources {
		return errors.Join(err, errIf(n > maxSources, errSources))
	}
	s := new(sources)
	for range n {
		var o Source
		if err := d.source(&o); err != nil {
			return err
		}
		//guard:false "no source is restored twice" TestRestoreRefuses
		if slices.ContainsFunc(s.list, func(other Source) bool { return other.Name == o.Name }) {
			return errSources
		}
		s.list = append(s.list, o)
	}
	if err := d.number(&n); err != nil || n > maxSources*maxCreations {
		return errors.Join(err, errIf(n > maxSources*maxCreations, errSources))
	}
	for range n {
		c, err := d.creation(len(s.list), d.st.Fates[Lost])
		if err != nil {
			return err
		}
		if slices.ContainsFunc(s.creations, func(other creation) bool { return other.source == c.source && other.id == c.id }) {
			return errSources
		}
		s.creations = append(s.creations, c)
	}
	if len(s.list) > 0 {
		d.st.sources = s
	}
	return nil
}

func errIf(is bool, err error) error {
	if is {
		return err
	}
	return nil
}

func (d *decoder) source(o *Source) (err error) {
	if o.Name, err = d.text(); err != nil {
		return err
	}
	for _, n := range []*uint64{&o.Missing, &o.Gap, &o.Recreated} {
		if err := d.number(n); err != nil {
			return err
		}
	}
	if o.Name == "" || o.Missing > maxMissing || o.loss() > d.st.Position.Place {
		return errSources
	}
	return d.time(&o.resumed)
}

func (d *decoder) creation(names int, lost uint64) (c creation, err error) {
	var source uint64
	if err := d.number(&source); err != nil {
		return c, err
	}
	if c.id, err = d.text(); err != nil {
		return c, err
	}
	for _, n := range []*uint64{&c.sequence, &c.lost} {
		if err := d.number(n); err != nil {
			return c, err
		}
	}
	if source >= uint64(names) || c.sequence == 0 || c.lost > lost {
		return c, errSources
	}
	c.source = int(source)
	return c, nil
}

// maxText bounds the texts of a head.
const maxText = 1024

// text decodes a string of the head.
func (d *decoder) text() (string, error) {
	var size uint64
	if err := d.number(&size); err != nil {
		return "", err
	}
	if size > maxText {
		return "", errSources
	}
	b, err := d.next(size)
	return string(b), noEOF(err)
}
