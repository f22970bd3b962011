import { readonly, ref, type Ref } from 'vue'

const now = ref(0)
let timer: ReturnType<typeof setInterval> | undefined

function tick(): void {
  now.value = Date.now()
}

/** The time in epoch milliseconds, once a second, for everything on the page that shows an age. */
export function useNow(): Readonly<Ref<number>> {
  if (!timer) {
    tick()
    timer = setInterval(tick, 1_000)
  }
  return readonly(now)
}

/** Stop the clock until it is used again: a test's page is closed. */
export function stopNow(): void {
  clearInterval(timer)
  timer = undefined
}
