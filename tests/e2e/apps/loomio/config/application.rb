# frozen_string_literal: true

require_relative "boot"
require "rails"
require "active_record/railtie"
require "action_controller/railtie"

# The stand-in.
module Loomio
  # Which release runs, and how much it sees.
  def self.summary
    users, discussions = ActiveRecord::Base.with_connection do |connection|
      connection.select_rows("SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM discussions)").first
    end
    "release #{ENV.fetch("RELEASE", "?")}: #{users} users, #{discussions} discussions"
  end

  # Settings: everything that differs between places is in DATABASE_URL.
  class Application < Rails::Application
    config.load_defaults 7.2
    config.eager_load = false
    config.secret_key_base = ENV.fetch("SECRET_COOKIE_TOKEN", "nothing is signed while it is built")
    config.logger = ActiveSupport::Logger.new($stdout)
    config.log_level = :warn
    config.active_record.dump_schema_after_migration = false
  end
end
