package guards

var metricsGuards = []guard{
	{
		"http: connections", "clients take no descriptor that a snapshot needs",
		"internal/httpd/connections.go", `if state == http.StateNew && len(c.since) > c.most {`, `if false {`, "./internal/httpd TestIdleConnections",
	},
	{
		"http: the connection that waits longest", "idle clients keep no health check out, and end no answer",
		"internal/httpd/connections.go", `if since != 0 && (`, `if (`, "./internal/httpd TestBusyConnections",
	},
	{
		"metrics: long profiles", "no request is served for longer than the time-outs say, or a minute",
		"internal/httpd/profiling.go", `seconds > longestProfile`, `seconds > 1e9`, "./internal/httpd TestProfiling",
	},
	{
		"metrics: machines beyond the most", "a scrape has a bound",
		"internal/metrics/machines.go", `if shown++; shown <= c.maxMachines {`, `if shown++; true {`, "./internal/metrics TestTooManyMachines",
	},
	{
		"metrics: complete only when caught up", "half a roster is never shown as the whole",
		"internal/metrics/collector.go", `number(isCaughtUp && !isStale && st.Complete())`, `number(!isStale && st.Complete())`, "./internal/metrics TestValues",
	},
	{
		"metrics: complete only without losses", "what is lost is said, not guessed",
		"internal/metrics/collector.go", `number(isCaughtUp && !isStale && st.Complete())`, `number(isCaughtUp && !isStale)`, "./internal/metrics TestValues",
	},
	{
		"metrics: no lag that nobody knows", "nothing is claimed while NATS is away",
		"internal/metrics/collector.go", "if !isStale {", "if true {", "./internal/metrics TestStale",
	},
	{
		"metrics: caught up only with what is known", "nothing is claimed while NATS is away",
		"internal/metrics/collector.go", "number(isCaughtUp && !isStale))\n\tgauge(ch, complete", "number(isCaughtUp))\n\tgauge(ch, complete", "./internal/metrics TestStale",
	},
	{
		"metrics: one look for position and fates", "the fates add up to the position in every scrape",
		"internal/metrics/collector.go", `gauge(ch, fates, float64(st.Fates[fate]), fate.String())`, `gauge(ch, fates, float64(c.roster.Status().Fates[fate]), fate.String())`,
		"./internal/metrics TestOneLook",
	},
	{
		"metrics: scrapes at a time", "scrapers that don't wait do not fill the memory",
		"internal/httpd/server.go", `MaxRequestsInFlight: maxScrapes,`, ``, "./internal/httpd TestScrapeTimesOut",
	},
	{
		"metrics: time of a scrape", "a scrape that hangs ends",
		"internal/httpd/server.go", `Timeout:             scrapeTimeout,`, ``, "./internal/httpd TestScrapeTimesOut",
	},
	{
		"metrics: requests that don't come to their end", "a client that says nothing holds no connection",
		"internal/httpd/server.go", "ReadHeaderTimeout: timeouts.Read,\n\t\tReadTimeout:       timeouts.Read,", "", "./internal/httpd TestSlowAndLongRequests",
	},
	{
		"metrics: long headers", "a request has a bound",
		"internal/httpd/server.go", `MaxHeaderBytes:    maxHeader,`, ``, "./internal/httpd TestSlowAndLongRequests",
	},
	{
		"metrics: idle connections", "a client that says nothing holds no connection",
		"internal/httpd/server.go", `IdleTimeout:       timeouts.Idle,`, `IdleTimeout: time.Hour,`, "./internal/httpd TestSlowAndLongRequests",
	},
	{
		"metrics: answers that nobody reads", "a client that doesn't read holds no connection",
		"internal/httpd/server.go", `WriteTimeout:      timeouts.Write,`, ``, "./internal/httpd TestClientThatDoesNotRead",
	},
	{
		"metrics: the end is bounded", "a client does not hold up the end",
		"internal/httpd/server.go", `bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.shutdown)`, `bounded, cancel := context.WithCancel(context.WithoutCancel(ctx))`,
		"./internal/httpd TestShutdown",
	},
	{
		"metrics: answers under way at the end", "the last scrape is answered",
		"internal/httpd/server.go", `context.WithTimeout(context.WithoutCancel(ctx), s.shutdown)`, `context.WithTimeout(ctx, s.shutdown)`, "./internal/httpd TestShutdown",
	},
	{
		"metrics: an address in use", "it is told at once, with the way out",
		"internal/httpd/server.go", `if errors.Is(err, syscall.EADDRINUSE) {`, `if false && errors.Is(err, syscall.EADDRINUSE) {`, "./internal/httpd TestAddressInUse",
	},
	{
		"metrics: what decides about being ready", "the service is ready while NATS is away",
		"internal/httpd/health.go", `ready = ready && !c.Decides`, `ready = false`, "./internal/httpd TestReady",
	},
	{
		"metrics: ready only when caught up", "nobody is sent to half a roster",
		"internal/httpd/health.go", `ready = ready && !c.Decides`, ``, "./internal/httpd TestReady",
	},
	{
		"metrics: headers of answers", "a browser guesses and loads nothing",
		"internal/httpd/server.go", `h.Set("X-Content-Type-Options", "nosniff")`, ``, "./internal/httpd TestRoutes",
	},
	{
		"metrics: no coalescing", "clients that never stop asking see new numbers",
		"internal/httpd/server.go", `EnableOpenMetrics:   true,`, "EnableOpenMetrics:   true,\n\t\tCoalesceGather: true,", "./internal/httpd TestScrapesAreFresh",
	},
}
