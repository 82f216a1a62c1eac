declare module "swagger-ui-dist/swagger-ui-es-bundle.js" {
  interface Options {
    domNode: HTMLElement;
    url: string;
    deepLinking: boolean;
    docExpansion: "list" | "full" | "none";
    defaultModelsExpandDepth: number;
    validatorUrl: null;
    persistAuthorization: boolean;
  }
  export default function SwaggerUI(options: Options): void;
}
