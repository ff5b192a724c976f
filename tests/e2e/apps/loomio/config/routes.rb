# frozen_string_literal: true

Rails.application.routes.draw do
  root to: ->(_env) { [200, { "content-type" => "text/plain" }, ["#{Loomio.summary}\n"]] }
end
