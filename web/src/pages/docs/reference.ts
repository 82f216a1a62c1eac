/** The only file that knows Swagger UI. */
import SwaggerUI from "swagger-ui-dist/swagger-ui-es-bundle.js";
import "swagger-ui-dist/swagger-ui.css";

export function drawReference(place: HTMLElement, url: string): void {
  SwaggerUI({
    domNode: place,
    url,
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    // No request leaves this server: the badge would ask a validator elsewhere.
    validatorUrl: null,
    persistAuthorization: false,
  });
}
