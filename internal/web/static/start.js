// Loads the page's script once the page has been painted, which does not need it. Until then, times
// in UTC are hidden: they are shown in the zone of whoever looks.
const root = document.documentElement, { page } = document.currentScript.dataset
root.classList.add('script')
requestAnimationFrame(() => setTimeout(() => import(page).catch(() => root.classList.remove('script'))))
