// The live parts of the page. Without this script each page is whole, and static.

const root = document.documentElement
const past = root.hasAttribute('data-past')
const $ = (selector, within = document) => within.querySelector(selector)
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)]

// HTML comes from this page's own process only, rendered by the templates of the page.
const policy = globalThis.trustedTypes?.createPolicy('rollcall', { createHTML: html => html }) ?? { createHTML: html => html }
const fill = (element, html) => { element.innerHTML = policy.createHTML(html) }

// ---- Times: in the zone of whoever looks ----

// The clock of the server counts: the viewer's may be wrong.
const ahead = Date.parse(root.dataset.now) - Date.now()
const now = () => Date.now() + ahead
const shownMoment = () => new Date(past ? new URLSearchParams(location.search).get('at') : now())
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC'
const two = n => String(n).padStart(2, '0')
const dateOf = t => `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())}`
const clockOf = t => `${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}`
const spanText = ms => {
	const s = Math.max(0, Math.floor(ms / 1000))
	if (s < 60) return `${s} s`
	if (s < 7200) return `${Math.floor(s / 60)} min`
	if (s < 172800) return `${Math.floor(s / 3600)} h`
	return s < 730 * 86400 ? `${Math.floor(s / 86400)} days` : `${Math.floor(s / 86400 / 365)} years`
}
const longSpan = ms => {
	const s = Math.max(0, Math.floor(ms / 1000))
	if (s < 3600) return spanText(ms)
	if (s < 86400) return `${Math.floor(s / 3600)} h ${two(Math.floor(s / 60) % 60)} min`
	return `${Math.floor(s / 86400)} d ${two(Math.floor(s / 3600) % 24)} h`
}
const setText = (element, text) => { if (element.textContent !== text) element.textContent = text }

function localise(within) {
	for (const time of $$('time.when', within)) {
		const t = new Date(time.dateTime)
		setText(time, `${dateOf(t)} ${clockOf(t)}`)
	}
	for (const time of $$('time.clock:not(#clock)', within)) setText(time, clockOf(new Date(time.dateTime)))
	for (const time of $$('time.minute', within)) {
		const t = new Date(time.dateTime), clock = clockOf(t).slice(0, 5)
		setText(time, dateOf(t) === dateOf(shownMoment()) ? clock : `${dateOf(t)} ${clock}`)
	}
	for (const svg of $$('svg.ticks', within)) drawTicks(svg)
	for (const title of $$('title.utc', within)) {
		setText(title, title.textContent.replace(/(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)( UTC)?/g, (_, date, clock) => {
			const t = new Date(`${date}T${clock}Z`)
			return `${dateOf(t)} ${clockOf(t)}`
		}))
		title.classList.remove('utc')
	}
	age(within)
}
function age(within) {
	for (const time of $$('time.ago', within)) setText(time, `${spanText(now() - Date.parse(time.dateTime))} ago`)
	for (const time of $$('time.lasts', within)) setText(time, longSpan(now() - Date.parse(time.dateTime)))
}

const days = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

// tickRoom is how many labels a line of time has room for, by the window: to measure the
// line would lay out the page once more before its first paint.
const tickRoom = () => Math.min(innerWidth > 820 ? innerWidth - 330 : innerWidth - 40, 1500) / 70

// drawTicks draws the labels of a line of time again: the server does not know where the
// viewer's days begin.
function drawTicks(svg) {
	const from = Date.parse(svg.dataset.from), to = Date.parse(svg.dataset.to), hours = (to - from) / 3600e3
	const room = tickRoom(), step = [1, 2, 3, 4, 6, 12, 24, 48, 96, 168].find(step => hours / step <= room) ?? 168
	for (const old of $$('line:not(.marker), text', svg)) old.remove()
	const t = new Date(from)
	t.setHours(0, 0, 0, 0)
	for (; t <= to; t.setHours(t.getHours() + step)) {
		const share = (t - from) / (to - from)
		if (share < .025 || share > .975) continue
		const x = `${(100 * share).toFixed(2)}%`, major = t.getHours() === 0
		const line = document.createElementNS(svg.namespaceURI, 'line'), text = document.createElementNS(svg.namespaceURI, 'text')
		for (const [name, value] of [['x1', x], ['x2', x], ['y1', 0], ['y2', '100%']]) line.setAttribute(name, value)
		text.setAttribute('x', x)
		text.setAttribute('y', '100%')
		text.textContent = major ? `${days[t.getDay()]} ${t.getDate()} ${months[t.getMonth()]}` : `${two(t.getHours())}:${two(t.getMinutes())}`
		if (major) { line.setAttribute('class', 'major'); text.setAttribute('class', 'major') }
		svg.prepend(line)
		svg.append(text)
	}
}

const offset = -shownMoment().getTimezoneOffset() // another one before the clocks were changed
setText($('.zone'), offset === 0 ? 'UTC' : `UTC${offset > 0 ? '+' : '−'}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`)
const tick = () => { const clock = $('#clock'); if (clock) setText(clock, clockOf(new Date(now()))) }
localise(document)
tick()
root.classList.add('ready')
setInterval(tick, 1000)
setInterval(() => age(document), 5000)

// ---- The moment: a field, and the curve ----

const urlAt = at => {
	const url = new URL(location.href)
	if (url.pathname === '/service' || url.pathname === '/find') url.pathname = '/'
	url.searchParams.delete('from')
	if (at) url.searchParams.set('at', at); else url.searchParams.delete('at')
	return url.pathname + url.search
}
const field = $('#moment input[name=at]')
if (past) {
	const at = new Date(new URLSearchParams(location.search).get('at'))
	if (!isNaN(at)) field.value = `${dateOf(at)} ${clockOf(at)}`
}
$('#moment').addEventListener('submit', event => {
	event.preventDefault()
	if (!field.value.trim()) return location.assign(urlAt(''))
	const url = new URL(urlAt(field.value.trim()), location.href)
	url.searchParams.set('tz', zone)
	location.assign(url)
})

function startCurve() {
	const range = $('#when'), ticks = $('#curve svg.ticks')
	if (!range || !ticks) return
	range.hidden = false
	const from = Date.parse(ticks.dataset.from), users = range.dataset.users ? range.dataset.users.split(',') : []
	let shown, timer, byKey = false
	const momentOf = minute => new Date(from + minute * 60e3)
	const say = () => {
		const minute = Number(range.value), t = momentOf(minute), count = users[Math.min(users.length - 1, Math.floor(minute / 5))]
		const text = `${clockOf(t).slice(0, 5)}${count === undefined ? '' : `, ${count} users`}`
		range.setAttribute('aria-valuetext', `${dateOf(t)} ${text}`)
		return text
	}
	const go = () => {
		const minute = Number(range.value)
		sessionStorage.setItem('rollcall-focus', byKey ? 'when' : '')
		location.assign(urlAt(minute >= 1440 && from + 86400e3 > now() - 120e3 ? '' : momentOf(minute).toISOString().replace(/\.\d+Z/, 'Z')))
	}
	say()
	range.addEventListener('pointerdown', () => { byKey = false })
	range.addEventListener('keydown', event => {
		byKey = true
		if (event.key === 'Enter') { clearTimeout(timer); go() }
	})
	range.addEventListener('input', () => {
		shown ??= $('#curve').appendChild(Object.assign(document.createElement('output'), { id: 'preview' }))
		shown.textContent = say()
		const share = range.value / 1440
		shown.style.left = `calc(${share * 100}% - ${share * shown.offsetWidth}px)`
		const marker = $('.marker', ticks)
		marker.setAttribute('x1', `${share * 100}%`)
		marker.setAttribute('x2', `${share * 100}%`)
	})
	// With keys each step is a change: go once they rest.
	range.addEventListener('change', () => { clearTimeout(timer); if (byKey) timer = setTimeout(go, 700); else go() })
}
startCurve()
if (sessionStorage.getItem('rollcall-focus') === 'when') $('#when')?.focus({ preventScroll: true })
sessionStorage.removeItem('rollcall-focus')

// ---- Keys ----

let leader = 0
addEventListener('resize', () => { for (const svg of $$('svg.ticks')) drawTicks(svg) })
addEventListener('keydown', event => {
	if (event.ctrlKey || event.metaKey || event.altKey) return
	if (event.key === 'Escape') {
		closeFound()
		tip?.setAttribute('hidden', '')
		if (event.target.matches('input')) event.target.blur()
		return
	}
	if (event.target.matches('input:not([type=range]), textarea, select')) return
	const led = Date.now() - leader < 1500
	const pages = { f: '/', m: '/machines', u: '/users', s: '/service' }
	if (event.key === '/') { event.preventDefault(); search.focus(); search.select() }
	else if (event.key === 'g') leader = Date.now()
	else if (led && pages[event.key]) {
		const at = new URLSearchParams(location.search).get('at')
		location.assign(pages[event.key] + (at && event.key !== 's' ? `?at=${encodeURIComponent(at)}` : ''))
	} else if (event.key === 'n' && past) location.assign(urlAt(''))
})

// ---- Search ----

const search = $('#find input[name=q]'), found = $('#found')
let asking, choice = -1
search.setAttribute('role', 'combobox')
search.setAttribute('aria-controls', 'found')
search.setAttribute('aria-expanded', 'false')
search.setAttribute('aria-autocomplete', 'list')
function closeFound() {
	found.hidden = true
	choice = -1
	search.setAttribute('aria-expanded', 'false')
	search.removeAttribute('aria-activedescendant')
}
function choose(next) {
	const all = $$('a', found)
	choice = all.length ? (next + all.length) % all.length : -1
	all.forEach((a, i) => a.setAttribute('aria-selected', String(i === choice)))
	if (choice >= 0) search.setAttribute('aria-activedescendant', all[choice].id)
}
search.addEventListener('input', () => {
	clearTimeout(asking)
	const text = search.value.trim()
	if (!text) return closeFound()
	asking = setTimeout(async () => {
		const params = new URLSearchParams({ q: text }), at = new URLSearchParams(location.search).get('at')
		if (at) params.set('at', at)
		const answer = await fetch(`/names?${params}`).catch(() => null)
		if (!answer?.ok || search.value.trim() !== text || document.activeElement !== search) return
		const names = await answer.json()
		found.replaceChildren(...names.map((one, i) => {
			const a = Object.assign(document.createElement('a'), { href: one.url, id: `found-${i}` })
			a.setAttribute('role', 'option')
			a.append(one.name, Object.assign(document.createElement('small'), { textContent: one.kind }))
			return a
		}))
		if (!names.length) found.append(Object.assign(document.createElement('p'), { textContent: 'No such name.' }))
		found.hidden = false
		search.setAttribute('aria-expanded', 'true')
		choose(0)
	}, 120)
})
search.addEventListener('keydown', event => {
	if (found.hidden) return
	if (event.key === 'ArrowDown' || event.key === 'ArrowUp') { event.preventDefault(); choose(choice + (event.key === 'ArrowDown' ? 1 : -1)) }
	if (event.key === 'Enter' && choice >= 0) { event.preventDefault(); location.assign($$('a', found)[choice].href) }
})
search.addEventListener('blur', () => setTimeout(closeFound, 200))

// ---- The map ----

const said = $('#said')
let tip = null
const maps = new Map()
const colours = () => {
	const style = getComputedStyle(root), names = ['--s0', '--s1', '--s2', '--s3', '--s4', '--amber-mark', '--ring', '--card', '--focus']
	return Object.fromEntries(names.map(name => [name.slice(2), style.getPropertyValue(name).trim()]))
}
class TileMap {
	constructor(canvas) {
		this.canvas = canvas
		this.group = Number(canvas.dataset.group)
		this.tiles = canvas.dataset.tiles
		this.flash = new Map()
		this.at = -1
		canvas.addEventListener('keydown', event => this.key(event))
		canvas.addEventListener('focus', () => { if (this.at < 0) this.at = 0; this.draw(); this.describe(true) })
		canvas.addEventListener('blur', () => { this.draw(); tip.hidden = true })
		canvas.addEventListener('pointermove', event => {
			const tile = this.tileAt(event)
			if (tile === this.over) return
			this.over = tile
			clearTimeout(this.timer)
			if (tile < 0) tip.hidden = true
			else this.timer = setTimeout(() => { if (this.over === tile) this.describe(false, tile) }, 60)
		})
		canvas.addEventListener('pointerleave', () => { this.over = -1; clearTimeout(this.timer); tip.hidden = true })
		canvas.addEventListener('click', event => this.open(this.tileAt(event)))
	}
	// fit fits the map into a width; nothing is drawn yet.
	fit(width) {
		// All groups have tiles of one size, so that they can be compared.
		const n = this.tiles.length, most = Math.max(...[...maps.values()].map(map => map.tiles.length))
		this.size = most <= 60 ? 18 : most <= 250 ? 11 : 7
		this.gap = most <= 60 ? 3 : most <= 250 ? 2 : 1
		this.columns = Math.max(1, Math.floor((width + this.gap) / (this.size + this.gap)))
		this.height = Math.ceil(n / this.columns) * (this.size + this.gap) - this.gap + 2
		this.width = width
		this.canvas.style.height = `${this.height}px`
		this.canvas.parentElement.style.containIntrinsicHeight = `auto ${this.height + 44}px` // with its head
	}
	draw() {
		if (!this.width) return
		const scale = devicePixelRatio || 1, c = colours(), pen = this.canvas.getContext('2d')
		this.canvas.width = Math.round(this.width * scale)
		this.canvas.height = Math.round(this.height * scale)
		pen.scale(scale, scale)
		for (const state of new Set(this.tiles)) this.drawState(pen, c, state)
		for (const i of this.flash.keys()) this.frame(pen, c.ring, i, 1.5)
		if (document.activeElement === this.canvas && this.at >= 0) this.frame(pen, c.focus, this.at, 2.5)
	}
	place(i) {
		const step = this.size + this.gap
		return [(i % this.columns) * step + 1, Math.floor(i / this.columns) * step + 1]
	}
	// drawState draws all tiles of one state, as one path.
	drawState(pen, c, state) {
		const silent = state >= 'a', step = state.charCodeAt(0) - (silent ? 97 : 48), s = this.size
		pen.fillStyle = silent ? c['amber-mark'] : c[`s${step}`]
		pen.beginPath()
		for (let i = 0; i < this.tiles.length; i++) if (this.tiles[i] === state) pen.roundRect(...this.place(i), s, s, s > 8 ? 2.5 : 1.5)
		pen.fill()
		if (!silent) return
		// Silence has a form of its own: a frame, hollow if nobody was on.
		const edge = s > 8 ? 2 : 1.5
		pen.fillStyle = step ? c[`s${step}`] : c.card
		for (let i = 0; i < this.tiles.length; i++) {
			if (this.tiles[i] !== state) continue
			const [x, y] = this.place(i)
			pen.fillRect(x + edge, y + edge, s - 2 * edge, s - 2 * edge)
		}
	}
	frame(pen, colour, i, width) {
		const [x, y] = this.place(i)
		pen.strokeStyle = colour
		pen.lineWidth = width
		pen.strokeRect(x - .5, y - .5, this.size + 1, this.size + 1)
	}
	set(tile, state) {
		this.tiles = this.tiles.slice(0, tile) + state + this.tiles.slice(tile + 1)
		clearTimeout(this.flash.get(tile))
		this.flash.set(tile, setTimeout(() => { this.flash.delete(tile); this.draw() }, 2500))
		this.dirty = true
	}
	tileAt(event) {
		const box = this.canvas.getBoundingClientRect(), step = this.size + this.gap
		const column = Math.floor((event.clientX - box.left) / step), i = Math.floor((event.clientY - box.top) / step) * this.columns + column
		return column < this.columns && i < this.tiles.length ? i : -1
	}
	key(event) {
		const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns, Home: -this.tiles.length, End: this.tiles.length }
		if (event.key === 'Enter') return this.open(this.at)
		if (!(event.key in moves)) return
		event.preventDefault()
		this.at = Math.max(0, Math.min(this.tiles.length - 1, this.at + moves[event.key]))
		this.draw()
		clearTimeout(this.timer)
		this.timer = setTimeout(() => this.describe(true), 80)
	}
	async names(tile) {
		const params = new URLSearchParams({ group: this.group, tile }), at = new URLSearchParams(location.search).get('at')
		if (at) params.set('at', at)
		const answer = await fetch(`/tile?${params}`).catch(() => null)
		return answer?.ok ? await answer.json() ?? [] : []
	}
	async describe(aloud, tile = this.at) {
		const machines = await this.names(tile)
		if (!machines.length || (aloud ? this.at : this.over) !== tile) return
		const lines = machines.length === 1
			? [machines[0].name, (machines[0].silent ? 'silent, last known: ' : '') + (machines[0].users.length ? machines[0].users.join(', ') + (machines[0].more ? ` and ${machines[0].more} more` : '') : 'nobody')]
			: [`${machines[0].name} and ${machines.length - 1} more`, `${machines.filter(m => m.users.length).length} in use`]
		tip.replaceChildren(Object.assign(document.createElement('b'), { textContent: lines[0] }), lines[1])
		tip.hidden = false
		const [x, y] = this.place(tile), box = this.canvas.getBoundingClientRect(), frame = $('#map').getBoundingClientRect()
		tip.style.left = `${Math.min(box.left - frame.left + x, frame.width - tip.offsetWidth)}px`
		tip.style.top = `${box.top - frame.top + y + this.size + 6}px`
		if (aloud) said.textContent = lines.join(', ')
	}
	async open(tile) {
		if (tile < 0) return
		const machines = await this.names(tile)
		if (machines.length === 1) location.assign(machines[0].url)
		else if (machines.length) location.assign(machines[0].list)
	}
}
function startMap() {
	if (!$('#map')) return
	tip = $('#tip')
	maps.clear()
	resized.disconnect()
	for (const canvas of $$('#map canvas')) maps.set(Number(canvas.dataset.group), new TileMap(canvas))
	// All are measured before one is changed: one layout, and not one for each.
	const all = [...maps.values()], widths = all.map(map => map.canvas.parentElement.clientWidth)
	all.forEach((map, i) => { map.fit(widths[i]); resized.observe(map.canvas.parentElement) })
}
const resized = new ResizeObserver(entries => {
	for (const { target, contentRect } of entries) {
		const map = maps.get(Number($('canvas', target)?.dataset.group))
		const width = Math.round(contentRect.width)
		if (map?.canvas.parentElement !== target || map.width === width) continue
		map.fit(width)
		map.draw()
	}
})
// drawMap draws the map piece by piece, so that it holds up nothing else.
function drawMap() {
	const wait = [...maps.values()]
	const some = () => {
		for (const end = performance.now() + 10; wait.length && performance.now() < end;) wait.shift().draw()
		if (wait.length) setTimeout(some)
	}
	some()
}
startMap()
requestAnimationFrame(() => setTimeout(drawMap)) // the page is painted first
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { for (const map of maps.values()) map.draw() })

// ---- Lists: rows as they come into view ----

const rows = $('#rows'), body = $('#list tbody'), count = $('#count')
const list = rows && { total: Number(rows.dataset.total), from: Number(rows.dataset.from), held: null, loading: false }
const thin = n => String(n).replace(/\B(?=(\d{3})+$)/g, '\u202f')
const wide = matchMedia('(min-width: 821px)')
const maxHeight = 8e6 // of an element, that all browsers can show
const windowRows = 50 // as many as a page has

function startList() {
	if (!list || past && !list.total) return
	list.top = body.insertRow(0)
	list.bottom = body.insertRow()
	for (const space of [list.top, list.bottom]) {
		space.className = 'space'
		space.setAttribute('aria-hidden', 'true')
		space.insertCell().colSpan = $$('#list thead th').length
	}
	const apply = () => {
		if (!wide.matches) { list.top.cells[0].style.height = list.bottom.cells[0].style.height = '0'; return }
		list.height = $('tr[data-key]', body)?.offsetHeight || 38
		const start = list.from
		space()
		rows.scrollTop = offsetOf(start)
		space()
		setCount()
	}
	apply()
	wide.addEventListener('change', apply)
	rows.addEventListener('scroll', () => {
		if (!wide.matches) return
		setCount()
		// What is near is loaded while scrolling; far away, once scrolling has come to rest.
		clearTimeout(list.timer)
		if (Math.abs(firstRow() - list.from) < 2 * windowRows) look(); else list.timer = setTimeout(look, 40)
	}, { passive: true })
	rows.addEventListener('pointerleave', () => setTimeout(release, 50))
	rows.addEventListener('focusout', () => setTimeout(release, 50))
	rows.addEventListener('keydown', event => {
		if (wide.matches && (event.key === 'Home' || event.key === 'End')) {
			event.preventDefault()
			rows.scrollTop = event.key === 'Home' ? 0 : rows.scrollHeight
			return
		}
		const row = event.target.closest('tr[data-key]')
		if (!row || event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return
		const next = event.key === 'ArrowDown' ? row.nextElementSibling : row.previousElementSibling
		if (next?.dataset.key === undefined) return
		event.preventDefault()
		$('a', next).focus()
	})
}
const visible = () => Math.ceil(rows.clientHeight / list.height)
const full = () => Math.min(list.total * list.height, maxHeight)
const scaled = () => list.total * list.height > maxHeight
function firstRow() {
	if (!scaled()) return Math.floor(rows.scrollTop / list.height)
	return Math.round(rows.scrollTop / Math.max(1, full() - rows.clientHeight) * Math.max(0, list.total - visible()))
}
function offsetOf(row) {
	if (!scaled()) return row * list.height
	return row / Math.max(1, list.total - visible()) * (full() - rows.clientHeight)
}
// space makes room for the rows before and after those that are there.
function space() {
	const n = $$('tr[data-key]', body).length
	const above = scaled() ? Math.max(0, rows.scrollTop - (firstRow() - list.from) * list.height) : list.from * list.height
	list.top.cells[0].style.height = `${above}px`
	list.bottom.cells[0].style.height = `${Math.max(0, full() - above - n * list.height)}px`
}
function setCount() {
	if (!list.total) return setText(count, 'none')
	const first = wide.matches ? firstRow() : list.from, n = wide.matches ? visible() : $$('tr[data-key]', body).length
	setText(count, `${thin(first + 1)} to ${thin(Math.min(list.total, first + n))} of ${thin(list.total)}`)
}
// look loads the rows in view, if they are not there.
async function look() {
	setCount()
	if (list.loading) return
	const first = firstRow(), n = $$('tr[data-key]', body).length, near = 6
	const above = Math.max(0, first - near), below = Math.min(list.total, first + visible() + near)
	if (above >= list.from && below <= list.from + n) return
	if (await loadRows(Math.max(0, Math.min(first - 15, list.total - windowRows)))) look()
}
// loadRows loads the rows from an index on. It returns false if that failed.
async function loadRows(from) {
	if (list.loading) return false
	list.loading = true
	const answer = await fetch(`/live?${liveParams(from, true)}`).catch(() => null)
	const patch = answer?.ok ? await answer.json() : null
	list.loading = false
	if (patch?.reload) reload()
	if (!patch || patch.reload) return false
	if (patch.rows) { list.from = from; list.held = null; setRows(patch.rows, false) }
	const url = new URL(location.href)
	if (wide.matches && firstRow() > 0) url.searchParams.set('from', firstRow()); else url.searchParams.delete('from')
	history.replaceState(null, '', url)
	if (!past) reopenSoon()
	return true
}
function release() {
	if (!list.held || busy()) return
	const held = list.held
	list.held = null
	setRows(held, true)
}
// busy reports whether rows must not move: somebody points at them.
const busy = () => rows.matches(':hover') || rows.contains(document.activeElement) && document.activeElement !== rows
// setRows shows rows: those that are there change in place.
function setRows(next, flash) {
	const there = new Map($$('tr[data-key]', body).map(tr => [tr.dataset.key, tr]))
	const order = [...there.keys()], moved = order.length !== next.keys.length || next.keys.some((key, i) => key !== order[i])
	for (const [key, html] of Object.entries(next.html ?? {})) {
		const tr = there.get(key)
		if (!tr) continue
		const focus = tr.contains(document.activeElement) ? $$('a', tr).indexOf(document.activeElement) : -1
		const before = tr.textContent
		fill(tr, html)
		localise(tr)
		if (focus >= 0) $$('a', tr)[focus]?.focus()
		if (flash && flashes(before, tr.textContent)) show(tr)
	}
	list.total = next.total
	if (moved && flash && busy()) {
		list.held = { ...next, html: { ...list.held?.html, ...next.html } }
		return
	}
	if (moved) {
		// A name may be one that all objects have, such as constructor.
		const html = key => [next.html, list.held?.html].find(all => all && Object.hasOwn(all, key))?.[key]
		const known = next.keys.filter(key => there.has(key) || html(key))
		if (known.length < next.keys.length) list.from = -1 // loaded again, below
		const sorted = known.map(key => there.get(key) ?? make(key, html(key), flash))
		for (const [key, tr] of there) if (!next.keys.includes(key)) tr.remove()
		list.top.after(...sorted)
	}
	list.held = null
	if (list.from < 0) { list.from = next.from; loadRows(next.from) }
	if (wide.matches) space()
	setCount()
}
function make(key, html, flash) {
	const tr = document.createElement('tr')
	tr.dataset.key = key
	fill(tr, html)
	localise(tr)
	if (flash) show(tr)
	return tr
}
const flashes = (before, after) => before.replace(/\d+ (s|min|h|days|years) ago/g, '') !== after.replace(/\d+ (s|min|h|days|years) ago/g, '')
function show(tr) {
	tr.classList.add('changed')
	setTimeout(() => tr.classList.remove('changed'), 2600)
}
startList()

// ---- Live ----

// A browser opens six connections to a server at most, and each stream holds one, in all
// tabs together: so few may hold one, and the others ask every second.
const slots = 4
const live = { id: root.dataset.id, source: null, release: null, timer: 0, held: new Map(), last: Date.now(), opened: 0 }

function liveParams(from, once) {
	const of = new URL(location.href)
	if (list) { if (from) of.searchParams.set('from', from); else of.searchParams.delete('from') }
	const params = new URLSearchParams({ of: of.pathname + of.search, id: live.id })
	if (once) { params.set('once', ''); params.set('all', '') }
	if (list) { params.set('rows', windowRows); params.set('have', $$('tr[data-key]', body).length) }
	if ($('[data-empty]')) params.set('empty', '')
	if ($('.pending')) params.set('all', '')
	const map = $('#map')
	if (map) params.set('map', map.dataset.members)
	return params
}
async function slot() {
	if (!navigator.locks || Date.now() < (live.noStream ?? 0)) return null
	for (let i = 0; i < slots; i++) {
		const release = await new Promise(resolve => navigator.locks.request(`rollcall-live-${i}`, { ifAvailable: true }, lock => {
			if (!lock) return resolve(null)
			return new Promise(done => resolve(done))
		}))
		if (release) return release
	}
	return null
}
let opening = 0
async function open() {
	close()
	const mine = ++opening
	const release = await slot()
	if (mine !== opening || document.hidden) return release?.()
	live.opened = Date.now()
	live.release = release
	if (!release) return poll(mine)
	const source = new EventSource(`/live?${liveParams(list?.from, false)}`)
	live.source = source
	source.onmessage = event => { live.id = event.lastEventId || live.id; heard(); apply(JSON.parse(event.data)) }
	source.onopen = heard
	source.addEventListener('beat', heard)
	source.onerror = () => {
		lost()
		// Closed for good: the answer was no stream, as when there are too many.
		if (source.readyState !== EventSource.CLOSED || mine !== opening) return
		live.release?.()
		live.source = live.release = null
		live.noStream = Date.now() + 30e3
		live.timer = setTimeout(() => { if (mine === opening) poll(mine) }, 1000)
	}
}
async function poll(mine) {
	const params = liveParams(list?.from, false)
	params.set('once', '')
	const answer = await fetch(`/live?${params}`, { signal: AbortSignal.timeout(deaf) }).catch(() => null)
	if (mine !== opening) return
	if (answer?.ok) {
		const patch = await answer.json()
		if (patch.rev) live.id = `${live.id.split('.')[0]}.${patch.rev}`
		heard()
		apply(patch)
	} else lost()
	live.timer = setTimeout(async () => {
		if (mine !== opening) return
		const release = await slot()
		if (release) { release(); open() } else poll(mine)
	}, 1000)
}
function close() {
	opening++
	clearTimeout(live.timer)
	live.source?.close()
	live.release?.()
	live.source = live.release = null
}
let again
function reopenSoon() {
	clearTimeout(again)
	again = setTimeout(open, 400)
}
let dead = 0
function lost() {
	if (dead) return
	dead = setTimeout(() => {
		fill($('#state'), '<span class="pill dead">Not live</span>')
		root.classList.add('stale')
		const note = document.createElement('p'), strong = document.createElement('strong')
		note.id = 'unreached'
		note.className = 'warn'
		strong.textContent = 'Not live:'
		note.append(strong, ` rollcall's page cannot be reached. What you see is as of ${clockOf(new Date(live.last + ahead))}.`)
		$('#banner').prepend(note)
	}, 2500)
}
function heard() {
	live.last = Date.now()
	clearTimeout(dead)
	if (dead) { dead = 0; live.stale = true; $('#unreached')?.remove() }
}
// A line that is cut without a word ends no stream: the beats are missing.
const deaf = 20e3
setInterval(() => {
	if (!live.source || Date.now() - Math.max(live.last, live.opened) < deaf) return
	lost()
	open()
}, 5000)
function reload() {
	// A page that loads itself again and again helps nobody.
	const last = Number(sessionStorage.getItem('rollcall-reload') ?? 0)
	if (Date.now() - last < 3000) { clearTimeout(live.timer); live.timer = setTimeout(open, 3000); live.source?.close(); return }
	sessionStorage.setItem('rollcall-reload', Date.now())
	location.reload()
}
function apply(patch) {
	if (patch.reload) return reload()
	for (const [id, html] of Object.entries(patch.blocks ?? {})) {
		const element = document.getElementById(id === 'strip' ? 'curve' : id)
		if (!element) continue
		// What somebody reads or points at holds still.
		if ((id === 'feed' || id === 'several' || id === 'longest') && (element.matches(':hover') || element.contains(document.activeElement))) {
			live.held.set(id, html)
			continue
		}
		setBlock(element, id, html)
	}
	if (patch.pill) root.classList.toggle('stale', patch.pill === 'Not live')
	if (patch.pill && live.stale) { live.stale = false; fill($('#state'), `<span class="pill ${patch.pill === 'Live' ? 'live' : 'dead'}">${patch.pill === 'Live' ? 'Live' : 'Not live'}</span>`) }
	for (const { g, t, s } of patch.tiles ?? []) maps.get(g)?.set(t, s)
	for (const map of maps.values()) if (map.dirty) { map.dirty = false; map.draw() }
	// A stream that was opened for other rows is closed a little later.
	if (patch.rows && list && patch.rows.from === list.from) setRows(patch.rows, true)
}
function setBlock(element, id, html) {
	if (id === 'strip' && document.activeElement === $('#when')) return
	const scrolled = $$('.wide', element).map(one => one.scrollLeft), focused = element.contains(document.activeElement) ? document.activeElement : null
	const before = id === 'map' && new Map($$('.few li', element).map(li => [nameOf(li), stateOf(li)]))
	const row = $('tbody tr:hover, .lane:hover', element) ?? focused?.closest('tbody tr, .lane'), key = row && rowKey(row), top = row?.getBoundingClientRect().top
	const same = focused && (focused.id ? `#${CSS.escape(focused.id)}` : focused.getAttribute('href') ? `a[href="${CSS.escape(focused.getAttribute('href'))}"]` : null)
	fill(element, html)
	localise(element)
	$$('.wide', element).forEach((one, i) => { one.scrollLeft = scrolled[i] ?? 0 })
	if (same) $(same, element)?.focus({ preventScroll: true })
	if (row) keep($$('tbody tr, .lane', element).find(one => rowKey(one) === key), top)
	if (id === 'map') { frame(element, before); startMap(); for (const map of maps.values()) map.draw() }
	if (id === 'strip') startCurve()
}
const rowKey = row => [row.closest('[id]').id, $('th, a, span', row)?.textContent, $('time', row)?.dateTime].join(' ')
// keep scrolls, so that a row stays under the pointer when others come or go above it. A page that
// is too short for that becomes longer.
function keep(row, top) {
	if (!row) return
	const by = row.getBoundingClientRect().top - top
	if (by > 0) document.body.style.minHeight = `${Math.max(document.body.offsetHeight, scrollY + by + innerHeight)}px`
	scrollBy({ top: by, behavior: 'instant' })
}
// frame frames machines of the map that are shown by their names, for a moment: those that have
// changed. The next change, of whichever machine, replaces them all.
const nameOf = li => $('.name', li).textContent, framed = new Map()
const stateOf = li => [...li.classList].filter(one => one !== 'changed').join(' ') + li.textContent
function frame(element, before) {
	for (const [name, end] of framed) if (end < Date.now()) framed.delete(name)
	for (const li of $$('.few li', element)) {
		const name = nameOf(li)
		if (before.size && before.get(name) !== stateOf(li)) framed.set(name, Date.now() + 2500)
		if (!framed.has(name)) continue
		li.classList.add('changed')
		setTimeout(() => li.classList.remove('changed'), framed.get(name) - Date.now())
	}
}
for (const id of ['feed', 'several', 'longest']) {
	const element = document.getElementById(id)
	const give = () => setTimeout(() => {
		if (!live.held.has(id) || element.matches(':hover') || element.contains(document.activeElement)) return
		setBlock(element, id, live.held.get(id))
		live.held.delete(id)
	})
	element?.addEventListener('pointerleave', give)
	element?.addEventListener('focusout', give)
}
if (!past && !root.hasAttribute('data-still') && location.pathname !== '/find') {
	if (!document.hidden) open()
	document.addEventListener('visibilitychange', () => { if (document.hidden) close(); else open() })
	addEventListener('pagehide', close)
	addEventListener('pageshow', event => { if (event.persisted) open() })
}
