package natsconn

import (
	"encoding/base64"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// claims holds the fields of a user's JWT that help to explain a refused login or a denied
// permission.
type claims struct {
	Expires int64  `json:"exp"` // seconds since 1970, 0 for never
	Name    string `json:"name"`
	Subject string `json:"sub"` // the user's public key
}

// decodeClaims decodes a JWT (RFC 7519). It does not verify the signature; the
// server does.
func decodeClaims(token string) (claims, error) {
	var c claims
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, errNoJWT
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(body, &c) != nil {
		return c, errNoJWT
	}
	return c, nil
}

// expired returns when the JWT expired, if it did before now.
func (c claims) expired(now time.Time) (time.Time, bool) {
	at := time.Unix(c.Expires, 0).UTC()
	return at, c.Expires != 0 && at.Before(now)
}
