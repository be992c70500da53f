package rollcallv1

// ServiceName is the name under which rollcall answers questions, in the NATS
// micro services API.
const ServiceName = "rollcall"

// The codes of refused questions, in the header Nats-Service-Error-Code of an
// answer; Nats-Service-Error says in words what is wrong.
const (
	CodeBadRequest  = 400 // the request is wrong: the description names the field
	CodeNotFound    = 404 // there is no such thing
	CodeBusy        = 429 // too many questions are waiting: ask again later
	CodeInternal    = 500 // no answer could be made
	CodeUnavailable = 503 // not caught up: ask again later
)
