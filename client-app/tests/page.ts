/** A page with a client of its own, whose frames come when a test says so. */

import { createPinia, setActivePinia } from 'pinia'
import { vi } from 'vitest'
import { type App, type Component, createApp } from 'vue'

import { CLIENT } from '../src/client'
import { stopNow } from '../src/composables/useNow'
import { TradingSystemWebSocket } from '../src/services/tradingSystemWebSocket'
import { FakeClock, FakeGateway, FakePage } from './fakes'

export interface TestPage {
  clock: FakeClock
  gateway: FakeGateway
  client: TradingSystemWebSocket
  app: App
  /** Draw one frame; says how many callbacks it ran. */
  frame(): number
  /** Let `milliseconds` pass, for the page's clock too. */
  pass(milliseconds: number): Promise<void>
}

export function openPage(root: Component = {}): TestPage {
  const clock = new FakeClock()
  const gateway = new FakeGateway(clock)
  const client = new TradingSystemWebSocket({
    url: 'wss://example/stage',
    WebSocket: gateway.WebSocket,
    clock,
    page: new FakePage(),
    random: () => 0.5,
  })
  let frames: FrameRequestCallback[] = []
  vi.stubGlobal('requestAnimationFrame', (run: FrameRequestCallback) => frames.push(run))
  vi.useFakeTimers({ toFake: ['Date', 'setInterval', 'clearInterval'], now: clock.now() })

  const pinia = createPinia()
  const app = createApp(root).use(pinia).provide(CLIENT, client)
  setActivePinia(pinia)
  return {
    clock,
    gateway,
    client,
    app,
    frame() {
      const due = frames
      frames = []
      for (const run of due) run(clock.now())
      return due.length
    },
    async pass(milliseconds) {
      clock.pass(milliseconds)
      vi.advanceTimersByTime(milliseconds)
      await clock.settle()
    },
  }
}

export function closePage(): void {
  stopNow()
  vi.useRealTimers()
  vi.unstubAllGlobals()
  localStorage.clear()
}
