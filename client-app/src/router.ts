import { createRouter, createWebHistory } from 'vue-router'

import MarketView from './views/MarketView.vue'

export const router = createRouter({
  history: createWebHistory(import.meta.env.BASE_URL),
  routes: [
    { path: '/', redirect: '/market' },
    { path: '/market', component: MarketView, meta: { title: 'Market' } },
    { path: '/analysis', component: () => import('./views/AnalysisView.vue'), meta: { title: 'Analysis' } },
    { path: '/:rest(.*)*', redirect: '/market' },
  ],
})

router.afterEach((to) => {
  document.title = `${String(to.meta['title'])} · tickwire`
})
