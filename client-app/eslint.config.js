import vue from 'eslint-plugin-vue'
import typescript from 'typescript-eslint'

export default typescript.config(
  { ignores: ['dist/**', 'node_modules/**'] },
  ...typescript.configs.strictTypeChecked,
  ...typescript.configs.stylisticTypeChecked,
  ...vue.configs['flat/recommended'],
  {
    languageOptions: {
      parserOptions: {
        parser: typescript.parser,
        projectService: true,
        tsconfigRootDir: import.meta.dirname,
        extraFileExtensions: ['.vue'],
      },
    },
    rules: {
      // Numbers in a template literal are what template literals are for.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowNullish: true }],
      // One line per attribute and other matters of layout: the line's length decides.
      'vue/max-attributes-per-line': 'off',
      'vue/singleline-html-element-content-newline': 'off',
      'vue/html-self-closing': 'off',
      'vue/html-closing-bracket-newline': 'off',
      'vue/html-indent': 'off',
      // Types say which props may be missing; undefined is their default.
      'vue/require-default-prop': 'off',
    },
  },
  { files: ['**/*.js'], ...typescript.configs.disableTypeChecked },
  {
    files: ['**/*.test.ts', 'tests/**/*.ts'],
    // What a fake answers is what the test has put in.
    rules: { '@typescript-eslint/no-non-null-assertion': 'off' },
  },
)
