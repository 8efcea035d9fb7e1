// The catalog of a Backstage, with all kinds that it has a model of. Its configuration is what --config names.
const { createBackend } = require('@backstage/backend-defaults');

// Whoever started it holds the other end of its standard input: it does not outlive them.
process.stdin.on('end', () => process.exit(0)).resume();

const backend = createBackend();
backend.add(require('@backstage/plugin-catalog-backend'));
backend.add(require('@backstage/plugin-catalog-backend-module-ai-model'));
backend.add(require('@backstage/plugin-catalog-backend-module-scaffolder-entity-model'));
backend.start();
