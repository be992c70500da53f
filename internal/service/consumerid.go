package service

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// consumerIDFile is the file in the data folder with the id in the name of the reader's
// consumer.
const consumerIDFile = "consumer-id"

var consumerIDs = regexp.MustCompile(`^[0-9a-f]{16}$`)

// consumerID returns the id in the name of the reader's consumer. It is kept in the
// data folder, so that after a crash the next start finds the consumer that was left
// behind, and deletes no other. A malformed id is replaced; the consumer of the lost id
// expires within a minute.
func consumerID(dir string) (string, error) {
	name := filepath.Join(dir, consumerIDFile)
	b, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("reading the consumer id: %w", err)
	}
	if id := strings.TrimSpace(string(b)); consumerIDs.MatchString(id) {
		return id, nil
	}
	var random [8]byte
	rand.Read(random[:]) //nolint:errcheck // it never fails
	id := hex.EncodeToString(random[:])
	return id, writeConsumerID(dir, id)
}

func writeConsumerID(dir, id string) error {
	if err := os.WriteFile(filepath.Join(dir, consumerIDFile), []byte(id+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing the consumer id: %w", err)
	}
	return nil
}
